//! Every call of the stand-in, made by clients that know nothing of it: an unchanged boto3 and the AWS CLI, over a socket.

use std::path::Path;
use std::process::Output;

use sgwarden::adapters::sim::{Config, Sim, serve};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;

use crate::setup;

/// Runs a tour against a stand-in of its own.
async fn tour(mut command: Command) -> Output {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let stop = CancellationToken::new();
    let served = tokio::spawn(serve(Sim::new(Config::default()), listener, stop.clone().cancelled_owned()));
    for service in ["EC2", "STS", "CLOUDTRAIL"] {
        command.env(format!("AWS_ENDPOINT_URL_{service}"), &endpoint);
    }
    // The tools' own files of this machine have no say.
    command.env("AWS_CONFIG_FILE", "/dev/null").env("AWS_SHARED_CREDENTIALS_FILE", "/dev/null").kill_on_drop(true);
    let output = command.output().await.unwrap();
    stop.cancel();
    served.await.unwrap().unwrap();
    output
}

fn passed(output: &Output) {
    let said = [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes).into_owned()).concat();
    assert!(output.status.success(), "{said}");
}

fn script(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/sim").join(name)
}

#[tokio::test(flavor = "multi_thread")]
async fn boto3_makes_every_call_unchanged() {
    let mut command = Command::new(setup::python().unwrap());
    command.arg(script("tour.py"));
    passed(&tour(command).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_aws_cli_makes_every_call_unchanged() {
    let tools = setup::aws_cli().unwrap();
    let path = format!("{}:/usr/local/bin:/usr/bin:/bin", tools.parent().unwrap().display());
    let mut command = Command::new("sh");
    command.arg(script("tour.sh")).env("PATH", path);
    passed(&tour(command).await);
}

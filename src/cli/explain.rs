//! `sgwarden explain`: whether somebody can reach a port on a group, and by which rule.

use std::process::ExitCode;

use crate::core::model::{AccountId, Direction, SecurityGroupId};
use crate::core::reach::{Answer, Family, Other, Question, Verdict, answer_json, answer_text, asked_address, asked_traffic};
use crate::ports::clock::Clock;

use super::error::CliError;
use super::output::{Output, OutputArgs, print, print_json};
use super::source::{Scope, Source, SourceArgs};

/// The exit code where not all of what was asked gets through.
const NO: u8 = 2;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The group, as <name> or <namespace>/<name>
    #[arg(value_name = "GROUP")]
    group: String,
    #[command(flatten)]
    other: OtherArgs,
    /// Port, or range of ports such as 8000-8100
    #[arg(long, value_name = "PORT")]
    port: Option<String>,
    /// tcp, udp, icmp, icmpv6, all or a number
    #[arg(long, default_value = "tcp", value_name = "PROTOCOL")]
    protocol: String,
    /// Type of ICMP message, such as 8; default: every type
    #[arg(long, value_name = "TYPE")]
    icmp_type: Option<u8>,
    /// Code of the ICMP message; default: every code
    #[arg(long, value_name = "CODE", requires = "icmp_type")]
    icmp_code: Option<u8>,
    /// Members of a group have addresses of one family only; default: both
    #[arg(long, value_enum, conflicts_with_all = ["from", "to"])]
    family: Option<FamilyArg>,
    #[command(flatten)]
    source: SourceArgs,
    #[command(flatten)]
    output: OutputArgs,
}

/// The other end of the connection.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct OtherArgs {
    /// From an address or a range
    #[arg(long, value_name = "ADDR")]
    from: Option<String>,
    /// To an address or a range
    #[arg(long, value_name = "ADDR")]
    to: Option<String>,
    /// From the members of a group: an object, or an id such as sg-0123456789abcdef0 or 444455556666/sg-0123456789abcdef0
    #[arg(long, value_name = "GROUP")]
    from_group: Option<String>,
    /// To the members of a group
    #[arg(long, value_name = "GROUP")]
    to_group: Option<String>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum FamilyArg {
    /// IPv4.
    Ipv4,
    /// IPv6.
    Ipv6,
}

pub(super) async fn main(args: Args) -> Result<ExitCode, CliError> {
    let now = Clock::system().now();
    let traffic = asked_traffic(&args.protocol, args.port.as_deref(), args.icmp_type, args.icmp_code);
    let traffic = traffic.map_err(|error| CliError::new(error.to_string()))?;
    let source = args.source.open().await?;
    let group = source.name(&args.group)?;
    let (direction, other) = args.other.read(&source)?;
    let family = args.family.map(|family| match family {
        FamilyArg::Ipv4 => Family::Ipv4,
        FamilyArg::Ipv6 => Family::Ipv6,
    });
    let question = Question { group, direction, other, traffic, family };
    let (world, _) = source.world(Scope::Named(&question.objects())).await?;
    let answer = world.explain(&question, now).map_err(|error| CliError::new(error.to_string()))?;
    match args.output.output {
        Output::Json => print_json(&answer_json(&answer))?,
        Output::Text => print(&answer_text(&answer))?,
    }
    Ok(code(&answer))
}

/// A script may rely on 0 and 2: neither stands where what is live is another thing.
fn code(answer: &Answer) -> ExitCode {
    match (answer.verdict, answer.live) {
        (_, Some(_)) | (Verdict::Unknown, None) => ExitCode::FAILURE,
        (Verdict::Yes, None) => ExitCode::SUCCESS,
        (Verdict::No | Verdict::Partly, None) => ExitCode::from(NO),
    }
}

impl OtherArgs {
    fn read(&self, source: &Source) -> Result<(Direction, Other), CliError> {
        let Self { from, to, from_group, to_group } = self;
        let range = |flag: &str, text: &str| {
            asked_address(text).map(Other::Range).map_err(|error| CliError::new(flag).because(error.to_string()))
        };
        match (from, to, from_group, to_group) {
            (Some(text), _, _, _) => Ok((Direction::Ingress, range("--from", text)?)),
            (None, Some(text), _, _) => Ok((Direction::Egress, range("--to", text)?)),
            (None, None, Some(text), _) => Ok((Direction::Ingress, group("--from-group", text, source)?)),
            (None, None, None, Some(text)) => Ok((Direction::Egress, group("--to-group", text, source)?)),
            (None, None, None, None) => Err(CliError::new("say who: --from, --to, --from-group or --to-group")),
        }
    }
}

fn group(flag: &str, text: &str, source: &Source) -> Result<Other, CliError> {
    let (account, id) = text.split_once('/').map_or((None, text), |(account, id)| (Some(account), id));
    if !id.starts_with("sg-") {
        return source.name(text).map(Other::Object);
    }
    let bad = |error: crate::core::model::BadId| CliError::new(flag).because(error);
    let account = account.map(str::parse::<AccountId>).transpose().map_err(bad)?;
    Ok(Other::Group { id: id.parse::<SecurityGroupId>().map_err(bad)?, account })
}

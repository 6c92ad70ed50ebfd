//! Publishing to a topic of SNS, moto's, and what its refusals mean.

use serde_json::{Value, json};

use sgwarden::adapters::aws::{AwsOptions, SnsPublisher};
use sgwarden::core::notice::SnsMessage;
use sgwarden::ports::cloud::Route;
use sgwarden::ports::sinks::{DeliverError, Publish};

use crate::servers::moto::{self, Lease, REGION};

fn publisher(endpoint: &str) -> SnsPublisher {
    SnsPublisher::new(AwsOptions::default().endpoint(endpoint).credentials("AKIDTEST", "not-checked"))
}

fn route() -> Route {
    Route::own(REGION.parse().unwrap())
}

fn message() -> SnsMessage {
    SnsMessage {
        subject: "sgwarden Critical: Drift of shop/web".to_owned(), message: "line one\nline <two> & ünïcode".to_owned()
    }
}

/// A topic, and a queue that gets what is published to it.
async fn topic(moto: &Lease) -> (String, String) {
    let made = moto.sns(&[("Action", "CreateTopic"), ("Name", "alerts")]).await;
    let topic = made.split_once("<TopicArn>").and_then(|(_, rest)| rest.split_once("</TopicArn>")).unwrap().0.to_owned();
    let queue = moto.sqs("CreateQueue", &json!({ "QueueName": "inbox" })).await["QueueUrl"].as_str().unwrap().to_owned();
    let endpoint = format!("arn:aws:sqs:{REGION}:{}:inbox", moto::ACCOUNT);
    moto.sns(&[("Action", "Subscribe"), ("TopicArn", &topic), ("Protocol", "sqs"), ("Endpoint", &endpoint)]).await;
    (topic, queue)
}

#[tokio::test]
async fn subscribers_get_subject_and_text() {
    let moto = moto::lease().await;
    let (topic, queue) = topic(&moto).await;
    publisher(&moto.url()).publish(&route(), &topic, &message()).await.unwrap();
    let answer = moto.sqs("ReceiveMessage", &json!({ "QueueUrl": queue, "WaitTimeSeconds": 5 })).await;
    let body: Value = serde_json::from_str(answer["Messages"][0]["Body"].as_str().unwrap()).unwrap();
    let SnsMessage { subject, message } = message();
    assert_eq!((body["Subject"].as_str(), body["Message"].as_str()), (Some(subject.as_str()), Some(message.as_str())), "{body}");
}

#[tokio::test]
async fn a_topic_that_is_not_there_refuses_everything() {
    let moto = moto::lease().await;
    let gone = format!("arn:aws:sns:{REGION}:{}:nobody", moto::ACCOUNT);
    let error = publisher(&moto.url()).publish(&route(), &gone, &message()).await.unwrap_err();
    assert!(matches!(error, DeliverError::Refused { .. }), "{error:?}");
}

#[tokio::test]
async fn nobody_there_is_no_answer() {
    let error =
        publisher("http://127.0.0.1:1").publish(&route(), "arn:aws:sns:eu-west-1:111122223333:a", &message()).await.unwrap_err();
    assert!(matches!(error, DeliverError::Unavailable { .. }), "{error:?}");
}

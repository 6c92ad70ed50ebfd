//! Messages as `CloudEvents` 1.0 in JSON.

use serde_json::{Value, json};

use super::{Parcel, text};
use crate::api::SECURITY_GROUPS;
use crate::core::notice::Notice;

/// The longest text of a message.
const MESSAGE: usize = 4000;

/// The event. `cluster` is the id by which clusters are told apart.
///
/// `id` is one message's, as receivers may drop a second event of one id; `dedupkey` is the same for all messages about one thing.
pub fn cloud_event(parcel: Parcel<'_>, cluster: &str) -> Value {
    let mut event = json!({
        "specversion": "1.0",
        "id": parcel.id(),
        "source": format!("//sgwarden.dev/clusters/{}", segment(cluster)),
        "datacontenttype": "application/json",
        "severity": parcel.severity().as_str(),
    });
    let more = match parcel {
        Parcel::One(notice) => json!({
            "type": format!("dev.sgwarden.securitygroup.{}", notice.kind.as_str().to_ascii_lowercase()),
            "subject": format!("{SECURITY_GROUPS}/{}/{}", notice.place.namespace, notice.place.name),
            "time": notice.at.to_string(),
            "dedupkey": notice.key,
            "data": data(notice),
        }),
        Parcel::Digest(notices) => json!({
            "type": "dev.sgwarden.digest",
            "time": notices.iter().map(|notice| notice.at.to_string()).max(),
            "data": { "message": parcel.why(), "notices": notices.iter().map(data).collect::<Vec<_>>() },
        }),
    };
    if let (Some(event), Value::Object(more)) = (event.as_object_mut(), more) {
        event.extend(more);
    }
    event
}

fn data(notice: &Notice) -> Value {
    let Notice { key, record: _, heard: _, update, kind, severity, at, place, headline, facts: _, advice, command, data } = notice;
    json!({
        "dedupKey": key,
        "update": update,
        "kind": kind.as_str(),
        "severity": severity.as_str(),
        "at": at.to_string(),
        "namespace": place.namespace,
        "name": place.name,
        "account": place.account,
        "region": place.region,
        "groupId": place.group,
        "message": text::line(headline, MESSAGE),
        "advice": advice,
        "command": command.as_ref().map(|(_, command)| command),
        "details": data,
    })
}

/// As one segment of a URI.
fn segment(text: &str) -> String {
    let byte = |byte: u8| {
        let plain = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if plain { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    text.bytes().map(byte).collect()
}

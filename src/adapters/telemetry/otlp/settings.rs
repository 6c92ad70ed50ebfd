//! Where traces go, by the variables that OpenTelemetry names.
//!
//! What is read here is what decides whether and where to send, and what the library would get wrong in silence. The rest
//! (`OTEL_EXPORTER_OTLP_HEADERS`, `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`, the sampler) the library reads itself.
//!
//! Invariant: no error repeats the value of a header, nor credentials in an address.

use http::{HeaderName, HeaderValue, Uri};

/// Where the signal's own path begins, below the address of a collector.
const PATH: &str = "/v1/traces";
/// The option of the command line.
const OPTION: &str = "--otlp-endpoint";

const DISABLED: &str = "OTEL_SDK_DISABLED";
const EXPORTER: &str = "OTEL_TRACES_EXPORTER";
const ENDPOINT: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
const PROTOCOL: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"];
const COMPRESSION: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "OTEL_EXPORTER_OTLP_COMPRESSION"];
const HEADERS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"];
const SAMPLER: &str = "OTEL_TRACES_SAMPLER";
const SAMPLER_ARGUMENT: &str = "OTEL_TRACES_SAMPLER_ARG";

/// Samplers of the library, and whether each takes a part from 0 to 1.
const SAMPLERS: [(&str, bool); 6] = [
    ("always_on", false),
    ("always_off", false),
    ("traceidratio", true),
    ("parentbased_always_on", false),
    ("parentbased_always_off", false),
    ("parentbased_traceidratio", true),
];

/// Where traces go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// What is posted to.
    pub endpoint: String,
}

/// A setting that is not one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting}: {what}")]
pub struct SettingsError {
    /// The variable or option.
    pub setting: &'static str,
    /// What is wrong with it, and what to do.
    pub what: String,
}

impl Settings {
    /// The server alone: what stands behind it in the address may be a secret.
    pub fn server(&self) -> String {
        let address = self.endpoint.parse::<Uri>().ok();
        address.as_ref().and_then(Uri::authority).map(ToString::to_string).unwrap_or_default()
    }

    /// Reads the settings; `None`: nothing is to be sent. `option` counts more than the variables that say the same.
    pub fn read(option: Option<&str>, variable: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, SettingsError> {
        // An empty variable is one that is not set.
        let variable = |name: &str| variable(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty());
        if variable(DISABLED).is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return Ok(None);
        }
        let Some(endpoint) = endpoint(option, variable)? else { return Ok(None) };
        match variable(EXPORTER).as_deref() {
            None | Some("otlp") => {}
            Some("none") => return Ok(None),
            Some(other) => return Err(wrong(EXPORTER, format!("'{other}' is not supported: write otlp or none"))),
        }
        one_of(first(PROTOCOL, variable), "http/protobuf", "send to the collector's port for HTTP, mostly 4318")?;
        one_of(first(COMPRESSION, variable), "none", "leave it out")?;
        if let Some((name, value)) = first(HEADERS, variable) {
            headers(name, &value)?;
        }
        sampler(variable(SAMPLER).as_deref(), variable(SAMPLER_ARGUMENT).as_deref())?;
        Ok(Some(Self { endpoint }))
    }
}

fn wrong(setting: &'static str, what: impl Into<String>) -> SettingsError {
    SettingsError { setting, what: what.into() }
}

/// The one of two variables that counts: the signal's own, if it is there.
fn first(names: [&'static str; 2], variable: impl Fn(&str) -> Option<String>) -> Option<(&'static str, String)> {
    names.into_iter().find_map(|name| Some((name, variable(name)?)))
}

fn endpoint(option: Option<&str>, variable: impl Fn(&str) -> Option<String>) -> Result<Option<String>, SettingsError> {
    let [own, common] = ENDPOINT;
    let (setting, text, is_whole) = if let Some(text) = option {
        (OPTION, text.to_owned(), false)
    } else if let Some(text) = variable(own) {
        (own, text, true)
    } else if let Some(text) = variable(common) {
        (common, text, false)
    } else {
        return Ok(None);
    };
    let remedy = "write an address such as http://otel-collector.monitoring:4318";
    let address: Uri = text.parse().map_err(|_| wrong(setting, format!("it is no address of a server: {remedy}")))?;
    if !matches!(address.scheme_str(), Some("http" | "https")) || address.host().is_none_or(str::is_empty) {
        return Err(wrong(setting, format!("it is no address of a server over HTTP: {remedy}")));
    }
    if address.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err(wrong(setting, "credentials do not belong into an address: put them into OTEL_EXPORTER_OTLP_HEADERS"));
    }
    Ok(Some(if is_whole { text } else { format!("{}{PATH}", text.trim_end_matches('/')) }))
}

fn one_of(setting: Option<(&'static str, String)>, only: &str, remedy: &str) -> Result<(), SettingsError> {
    match setting {
        Some((name, value)) if value != only => {
            Err(wrong(name, format!("'{value}' is not supported, only {only} is: leave it out, and {remedy}")))
        }
        Some(_) | None => Ok(()),
    }
}

/// The library leaves out what it cannot read: a token with a slip of the pen would be missed at the collector only.
fn headers(name: &'static str, value: &str) -> Result<(), SettingsError> {
    for (index, entry) in value.split(',').map(str::trim).enumerate().filter(|(_, entry)| !entry.is_empty()) {
        let is_header = entry.split_once('=').is_some_and(|(key, value)| {
            HeaderName::from_bytes(key.trim().as_bytes()).is_ok()
                && HeaderValue::from_str(value.trim()).is_ok()
                && value
                    .split('%')
                    .skip(1)
                    .all(|escaped| escaped.get(..2).is_some_and(|code| code.bytes().all(|digit| digit.is_ascii_hexdigit())))
        });
        if !is_header {
            let place = index.saturating_add(1);
            return Err(wrong(
                name,
                format!("entry {place} is no header: write name=value, several with commas between them, and %25 for %"),
            ));
        }
    }
    Ok(())
}

fn sampler(name: Option<&str>, argument: Option<&str>) -> Result<(), SettingsError> {
    let Some(name) = name else { return Ok(()) };
    let Some((_, takes_part)) = SAMPLERS.iter().find(|(known, _)| *known == name) else {
        let known: Vec<&str> = SAMPLERS.iter().map(|(known, _)| *known).collect();
        return Err(wrong(SAMPLER, format!("'{name}' is not supported: write one of {}", known.join(", "))));
    };
    let part = argument.and_then(|argument| argument.parse::<f64>().ok());
    if *takes_part && !part.is_some_and(|part| (0.0..=1.0).contains(&part)) {
        return Err(wrong(SAMPLER_ARGUMENT, format!("{name} needs the part of passes to send, from 0 to 1, such as 0.1")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(option: Option<&str>, variables: &[(&str, &str)]) -> Result<Option<String>, String> {
        let variable = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        Settings::read(option, variable).map(|read| read.map(|settings| settings.endpoint)).map_err(|error| error.to_string())
    }

    const TO: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");

    #[test]
    fn nothing_is_sent_unless_somebody_says_where_to() {
        assert_eq!(read(None, &[]), Ok(None));
        assert_eq!(read(None, &[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")]), Ok(None));
        assert_eq!(read(None, &[("OTEL_SERVICE_NAME", "sgwarden"), ("OTEL_TRACES_SAMPLER", "always_on")]), Ok(None));
        for off in [("OTEL_SDK_DISABLED", "True"), ("OTEL_TRACES_EXPORTER", "none")] {
            assert_eq!(read(Some("http://collector:4318"), &[TO, off]), Ok(None), "{off:?}");
        }
        assert_eq!(read(None, &[TO, ("OTEL_SDK_DISABLED", "no")]).unwrap().as_deref(), Some("http://collector:4318/v1/traces"));
    }

    #[test]
    fn an_address_gets_the_path_of_traces_and_the_one_of_traces_alone_has_it() {
        let traces = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://traces.example.com/take");
        assert_eq!(read(None, &[TO]).unwrap().as_deref(), Some("http://collector:4318/v1/traces"));
        assert_eq!(read(None, &[TO, traces]).unwrap().as_deref(), Some("https://traces.example.com/take"));
        let option = Some("https://otel.example.com/below/");
        assert_eq!(read(option, &[TO, traces]).unwrap().as_deref(), Some("https://otel.example.com/below/v1/traces"));
    }

    #[test]
    fn of_an_address_only_the_server_is_told() {
        let settings = Settings { endpoint: "https://traces.example.com:443/take?key=hunter2".to_owned() };
        assert_eq!(settings.server(), "traces.example.com:443");
    }

    #[test]
    fn what_is_no_address_is_refused_by_the_name_of_the_setting() {
        for text in ["collector:4318", "/v1/traces", "grpc://collector:4317", "http://", "not an address"] {
            let error = read(Some(text), &[]).unwrap_err();
            assert!(error.starts_with("--otlp-endpoint: ") && error.contains("http://otel-collector.monitoring:4318"), "{error}");
        }
        let error = read(None, &[("OTEL_EXPORTER_OTLP_ENDPOINT", "https://me:hunter2@collector")]).unwrap_err();
        assert!(error.starts_with("OTEL_EXPORTER_OTLP_ENDPOINT: ") && !error.contains("hunter2"), "{error}");
    }

    #[test]
    fn what_is_not_supported_is_refused_with_what_is() {
        for (name, value, remedy) in [
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "only http/protobuf is"),
            ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "http/json", "only http/protobuf is"),
            ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip", "only none is"),
            ("OTEL_TRACES_EXPORTER", "zipkin", "write otlp or none"),
            ("OTEL_TRACES_SAMPLER", "xray", "parentbased_traceidratio"),
        ] {
            let error = read(None, &[TO, (name, value)]).unwrap_err();
            assert!(error.starts_with(&format!("{name}: '{value}'")) && error.contains(remedy), "{error}");
        }
        let right = [("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"), ("OTEL_EXPORTER_OTLP_COMPRESSION", "none"), TO];
        assert!(read(None, &right).unwrap().is_some());
    }

    #[test]
    fn a_part_of_passes_is_from_0_to_1() {
        let sampled =
            |argument: &str| read(None, &[TO, ("OTEL_TRACES_SAMPLER", "traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", argument)]);
        for argument in ["0", "0.25", "1"] {
            assert!(sampled(argument).unwrap().is_some(), "{argument}");
        }
        for argument in ["", "10%", "-1", "2", "NaN"] {
            assert!(sampled(argument).unwrap_err().starts_with("OTEL_TRACES_SAMPLER_ARG: traceidratio needs"), "{argument}");
        }
    }

    #[test]
    fn a_header_that_is_none_is_told_without_its_value() {
        let headers = |value: &str| read(None, &[TO, ("OTEL_EXPORTER_OTLP_HEADERS", value)]);
        for value in ["authorization=Bearer%20hunter2", "a=b, c=d,", "a="] {
            assert!(headers(value).unwrap().is_some(), "{value}");
        }
        for value in ["a=b,Bearer hunter2", "a=b,x y=hunter2", "a=b,c=hunter2\u{7f}", "a=b,c=100%hunter2"] {
            let error = headers(value).unwrap_err();
            assert!(error.starts_with("OTEL_EXPORTER_OTLP_HEADERS: entry 2 ") && !error.contains("hunter2"), "{error}");
        }
    }
}

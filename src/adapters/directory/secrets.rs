//! Secrets from files: `<directory>/<name>/<key>`, as a pod sees the Secrets that are mounted into it.

use std::io;
use std::path::PathBuf;

use async_trait::async_trait;

use crate::api::SecretReference;
use crate::ports::sinks::{DeliverError, Secret, Secrets};

/// Secrets in files.
pub struct DirectorySecrets {
    directory: Option<PathBuf>,
}

impl DirectorySecrets {
    /// Those below a directory; without one there are none.
    pub fn new(directory: Option<PathBuf>) -> Self {
        Self { directory }
    }
}

#[async_trait]
impl Secrets for DirectorySecrets {
    async fn read(&self, reference: &SecretReference) -> Result<Secret, DeliverError> {
        let SecretReference { name, key } = reference;
        let lacking = |why: String| DeliverError::Secret { why };
        let Some(directory) = &self.directory else {
            return Err(lacking(format!("there is no secret {name}/{key}: say where secrets are, with --secrets")));
        };
        // `desired` refuses names that lead elsewhere; whoever hands another one in gets nothing.
        if [name, key].into_iter().any(|part| part.is_empty() || part.starts_with('.') || part.contains(['/', '\\'])) {
            return Err(lacking(format!("'{name}/{key}' is no secret")));
        }
        let path = directory.join(name).join(key);
        let place = path.display().to_string();
        match tokio::fs::read_to_string(&path).await {
            Ok(text) => Ok(Secret::new(text.trim())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(lacking(format!("there is no file {place}"))),
            Err(error) => Err(lacking(format!("the file {place} cannot be read: {error}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference(name: &str, key: &str) -> SecretReference {
        SecretReference { name: name.to_owned(), key: key.to_owned() }
    }

    #[tokio::test]
    async fn a_secret_is_the_text_of_its_file_without_the_end_of_the_line() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("slack")).unwrap();
        std::fs::write(folder.path().join("slack/url"), "https://hooks.slack.com/x\n").unwrap();
        let secrets = DirectorySecrets::new(Some(folder.path().to_owned()));
        let secret = secrets.read(&reference("slack", "url")).await.unwrap();
        assert_eq!(secret.reveal(), "https://hooks.slack.com/x");
        assert_eq!(format!("{secret:?}"), "Secret", "it is printed nowhere");
        for missing in [reference("slack", "token"), reference("other", "url"), reference("..", "url"), reference("slack", "../x")]
        {
            assert!(matches!(secrets.read(&missing).await, Err(DeliverError::Secret { why: _ })), "{missing:?}");
        }
    }
}

//! What is wrong with an object, all of it at once.

/// Something in a manifest that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// The field, from `spec` on: `spec.ingress[1].from[0].cidr`.
    pub path: String,
    /// What is wrong with it and what to write instead.
    pub message: String,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.path, self.message)
    }
}

/// The problems found so far.
#[derive(Default)]
pub(super) struct Problems(Vec<Problem>);

impl Problems {
    pub(super) fn add(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.0.push(Problem { path: path.into(), message: message.into() });
    }

    /// The value, or `None` and its problem kept.
    pub(super) fn keep<T, E: std::fmt::Display>(&mut self, path: impl Into<String>, result: Result<T, E>) -> Option<T> {
        result.map_err(|problem| self.add(path, problem.to_string())).ok()
    }

    /// The value where nothing was wrong, else everything that was, in the order of the fields. A value may be missing only
    /// with a problem that says why.
    pub(super) fn settle<T>(mut self, value: Option<T>) -> Result<T, Vec<Problem>> {
        match value {
            Some(value) if self.0.is_empty() => Ok(value),
            Some(_) | None => {
                self.0.sort();
                Err(self.0)
            }
        }
    }
}

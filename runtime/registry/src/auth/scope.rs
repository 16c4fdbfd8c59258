//! What a token is to permit: `repository:NAME:ACTIONS` (distribution's token specification).

use std::collections::BTreeSet;

/// What is wanted of a registry, as one token carries it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Scope(BTreeSet<String>);

impl Scope {
    /// Reading a repository.
    pub(crate) fn pull(repository: &str) -> Self {
        Self([format!("repository:{repository}:pull")].into())
    }

    /// Reading and writing a repository.
    pub(crate) fn push(repository: &str) -> Self {
        Self([format!("repository:{repository}:pull,push")].into())
    }

    /// The list of repositories.
    pub(crate) fn catalog() -> Self {
        Self(["registry:catalog:*".to_owned()].into())
    }

    /// Both.
    pub(crate) fn and(&self, other: &Self) -> Self {
        Self(self.0.union(&other.0).cloned().collect())
    }

    pub(crate) fn parts(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// As one parameter of a form has it.
    pub(crate) fn joined(&self) -> String {
        self.parts().collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn joins() {
        let both = Scope::push("a/b").and(&Scope::pull("c"));
        assert_eq!(both.joined(), "repository:a/b:pull,push repository:c:pull");
        assert_eq!(Scope::default().joined(), "");
    }
}

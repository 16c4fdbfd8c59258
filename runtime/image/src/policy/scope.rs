//! Which entry of a policy an image falls under: the most exact one (containers-policy.json(5), "POLICY REQUIREMENTS").

use crate::reference::Reference;

/// The scopes that a reference is in, the most exact first.
pub(super) fn scopes(reference: &Reference) -> Vec<String> {
    let repository = reference.repository();
    let mut scopes = Vec::new();
    // As in containers/image: a digest stands in front of a tag.
    match (reference.digest(), reference.tag()) {
        (Some(digest), _) => scopes.push(format!("{repository}@{digest}")),
        (None, Some(tag)) => scopes.push(format!("{repository}:{tag}")),
        (None, None) => {}
    }
    let mut rest = repository.as_str();
    scopes.push(rest.to_owned());
    while let Some((parent, _)) = rest.rsplit_once('/') {
        scopes.push(parent.to_owned());
        rest = parent;
    }
    // `*.example.com` for hosts below it; a port belongs to the host.
    let mut host = rest;
    while let Some((_, parent)) = host.split_once('.') {
        scopes.push(format!("*.{parent}"));
        host = parent;
    }
    scopes.push(String::new());
    scopes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_the_exact_name_to_everything() {
        assert_eq!(
            scopes(&"reg.example.com:5000/a/b:v1".parse().unwrap()),
            [
                "reg.example.com:5000/a/b:v1",
                "reg.example.com:5000/a/b",
                "reg.example.com:5000/a",
                "reg.example.com:5000",
                "*.example.com:5000",
                "*.com:5000",
                "",
            ]
        );
        assert_eq!(scopes(&"alpine".parse().unwrap())[1], "docker.io/library/alpine");
    }
}

//! Searching.

use super::server::{Server, respond};
use super::{Fixture, once};
use crate::Found;
use crate::config::Mirror;

#[test]
fn docker_hubs_search() {
    let hub = Server::start(|_, stream| {
        respond(
            stream,
            200,
            &[],
            br#"{"num_results":2,"results":[
                {"name":"user/alpine","description":"\u001b[31mred","star_count":3,"is_official":false},
                {"name":"alpine","description":"A minimal image","star_count":11,"is_official":true}]}"#,
        );
    });
    let url = format!("http://{}", hub.address);
    let fixture = Fixture::new(|config| {
        config.mirrors.insert("docker.io".to_owned(), vec![Mirror::try_from(url).unwrap()]);
    });
    let found = fixture.client.search("al pine", 25).unwrap();
    assert_eq!(hub.asked(), ["GET /v1/search?q=al%20pine&n=25"]);
    let expected = |name: &str, description: &str, stars, official| Found {
        name: name.to_owned(),
        description: description.to_owned(),
        stars,
        official,
    };
    assert_eq!(
        found,
        [expected("alpine", "A minimal image", 11, true), expected("user/alpine", "[31mred", 3, false)]
    );
    assert_eq!(fixture.client.search("alpine", 1).unwrap().len(), 1);
}

#[test]
fn plain_registries_have_a_catalog() {
    let registry = Server::start(|seen, stream| match seen.path.as_str() {
        "/v2/_catalog?n=1000" => {
            respond(stream, 200, &[], br#"{"repositories":["app","library/app2","other"]}"#);
        }
        "/v2/" => respond(stream, 200, &[], b""),
        _ => respond(stream, 404, &[], b"404 page not found"),
    });
    let name = registry.named("localhost");
    let url = format!("http://{}", registry.address);
    let fixture = Fixture::new(|config| {
        config.mirrors.insert("docker.io".to_owned(), vec![Mirror::try_from(url).unwrap()]);
    });
    let names = |term: &str| -> Vec<String> {
        fixture.client.search(term, 25).unwrap().into_iter().map(|found| found.name).collect()
    };
    assert_eq!(names(&format!("{name}/app")), [format!("{name}/app"), format!("{name}/library/app2")]);
    assert_eq!(names("app"), ["app", "app2"]);
    assert!(names("nothing").is_empty());
}

#[test]
fn failures_are_failures() {
    let registry = Server::start(|seen, stream| match seen.path.as_str() {
        "/v1/search?q=garbage&n=25" => respond(stream, 200, &[], b"<html>"),
        _ => respond(stream, 403, &[], b""),
    });
    let fixture = Fixture::new(once);
    let name = registry.named("localhost");
    for (term, cause) in [("garbage", "a search result that is none"), ("x", "answers 403")] {
        let error = fixture.client.search(&format!("{name}/{term}"), 25).unwrap_err();
        assert!(error.message.contains(cause), "{error}");
    }
    assert!(fixture.client.search("", 25).is_err());
    assert!(fixture.client.search(&"a".repeat(300), 25).is_err());
}

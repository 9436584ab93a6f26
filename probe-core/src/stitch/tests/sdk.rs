//! Model calls that the client's own SDK reports.

use super::world::*;
use crate::call::{Call, ErrorSource};
use crate::ids::Role;
use crate::message::End;
use crate::stitch::Config;
use crate::stitch::facts::ProcessFacts;

/// Process 1 reports its calls itself, and asks the model server 2.
fn world(config: Config) -> World {
    let mut w = World::with(config);
    w.facts(
        1,
        ProcessFacts {
            reports_calls: true,
            ..ProcessFacts::default()
        },
    );
    w.connect(0, 1, 2);
    w
}

/// Both ends of one call, the one that is named first ending first.
fn asks(w: &mut World, client: &Call, server: &Call, server_first: bool) {
    w.start(client);
    w.start(server);
    if server_first {
        w.end(server);
        w.end(client);
    } else {
        w.end(client);
        w.end(server);
    }
    w.drain();
}

#[test]
fn its_span_is_left_out_and_the_servers_takes_its_place() {
    for server_first in [true, false] {
        let mut w = world(Config::default());
        let mut client = chat(0, 1, Role::Client, 10, 40);
        let mut server = chat(1, 2, Role::Server, 11, 39);
        client.trace = Some(wire(7, 1));
        server.trace.clone_from(&client.trace);
        asks(&mut w, &client, &server, server_first);
        assert!(w.client(1).left && !w.server(2).left, "{server_first}");
        assert_eq!(w.server(2).parent, Some(wire(7, 1).parent));
        assert_eq!(w.server(2).trace, w.client(1).trace);
        check(&w.spans, &[wire(7, 1)]);
    }
}

#[test]
fn without_a_parent_the_servers_begins_the_trace() {
    for server_first in [true, false] {
        let mut w = world(Config::default());
        let client = chat(0, 1, Role::Client, 10, 40);
        let server = chat(1, 2, Role::Server, 11, 39);
        asks(&mut w, &client, &server, server_first);
        assert!(w.client(1).left, "{server_first}");
        assert_eq!(w.server(2).parent, None);
        assert_eq!(w.server(2).trace, w.client(1).trace);
        check(&w.spans, &[]);
    }
}

#[test]
fn what_goes_wrong_is_exported() {
    let mut failed = chat(0, 1, Role::Client, 10, 40);
    failed.error = Some(error("500", ErrorSource::Status));
    let mut gone = chat(0, 1, Role::Client, 10, 40);
    gone.ended = End::ServerGone;
    for call in [failed, gone] {
        let mut w = world(Config::default());
        w.run(&call);
        w.drain();
        assert!(!w.client(1).left);
    }
}

#[test]
fn tools_and_the_calls_of_others_are_exported() {
    let mut w = world(Config::default());
    let tool = call(0, 1, Role::Client, 10, 40, mcp("tools/call", Some("get")));
    w.run(&tool);
    w.drain();
    assert!(!w.client(1).left);

    let mut w = World::new();
    w.connect(0, 1, 2);
    w.run(&chat(0, 1, Role::Client, 10, 40));
    w.drain();
    assert!(!w.client(1).left, "nothing says that it reports");
}

#[test]
fn one_switch_exports_all() {
    let mut w = world(Config {
        leave_to_sdk: false,
        ..Config::default()
    });
    let client = chat(0, 1, Role::Client, 10, 40);
    let server = chat(1, 2, Role::Server, 11, 39);
    asks(&mut w, &client, &server, true);
    assert!(!w.client(1).left);
    assert_eq!(w.server(2).parent, Some(w.client(1).id));
}

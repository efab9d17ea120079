//! A token's whole life, and what outlives the service.

use std::{
    io::{Read, Write},
    net::TcpStream,
    process::Command,
    time::Duration,
};

use serde_json::{Value, json};

use super::{Issued, Request, Server, Service};

on_every_server! {
    a_token_lives_from_its_creation_to_its_revocation,
    the_plain_text_is_shown_on_creation_and_never_again,
    a_list_shows_name_creation_expiry_and_at_once_the_last_use,
    a_restart_keeps_tokens_logins_servers_and_the_last_use,
    a_request_that_is_there_is_answered_before_the_service_stops,
    clients_that_hold_their_connections_do_not_hold_up_the_stop,
    a_request_that_is_never_ended_does_not_hold_a_connection,
    the_line_that_it_prints_logs_in_and_calls_the_api_as_often_as_it_is_pasted,
    no_secret_is_printed_logged_or_stored,
}

fn a_token_lives_from_its_creation_to_its_revocation(server: Server) {
    let service = Service::start(server);
    let ada = service.log_in("ada");

    let token = ada.issue("ci-deploy-pipeline", &["servers:read"]);
    assert_eq!(token.json["abilities"], json!(["servers:read"]));
    assert_eq!(token.json["public_part"], format!("fleet_{}", token.id));
    assert!(token.plain.starts_with(&format!("fleet_{}_", token.id)));

    let servers = service.call(&token.plain, Request::get("/api/v1/servers"));
    assert_eq!((servers.status, servers.body.as_str()), (200, r#"{"servers":[]}"#));

    let create = Request::post("/api/v1/servers").json(&json!({ "name": "web-1" }));
    assert_eq!(service.call(&token.plain, create).status, 403);

    let revoked = ada.send(Request::delete(&token.path()));
    assert_eq!((revoked.status, revoked.body.as_str()), (204, ""));
    let refused = service.call(&token.plain, Request::get("/api/v1/servers"));
    assert_eq!((refused.status, refused.code().as_str()), (401, "invalid_token"));

    let after = ada.get(&token.path()).json();
    assert_eq!(after["state"], "revoked");
    assert!(after["revoked_at"].is_string());
    assert_eq!(ada.send(Request::delete(&token.path())).status, 204);
    assert_eq!(ada.get(&token.path()).json(), after, "it keeps the first instant");
}

fn the_plain_text_is_shown_on_creation_and_never_again(server: Server) {
    let service = Service::start(server);
    let ada = service.log_in("ada");
    let token = ada.issue("ci", &["servers:read"]);
    for path in ["/account/tokens", &token.path()] {
        let answer = ada.get(path);
        let secret = token.plain.rsplit('_').next().unwrap();
        assert!(answer.status == 200 && !answer.body.contains(secret), "{answer:?}");
        assert!(!answer.body.contains("\"token\""), "{answer:?}");
    }
}

fn a_list_shows_name_creation_expiry_and_at_once_the_last_use(server: Server) {
    let service = Service::start(server);
    let ada = service.log_in("ada");
    let token = ada.issue("ci", &["servers:read"]);
    let listed = || ada.get("/account/tokens").json()["tokens"][0].clone();

    let mut expected = token.json.clone();
    expected.as_object_mut().unwrap().remove("token");
    assert_eq!(listed(), expected);
    assert_eq!(expected["name"], "ci");
    assert_eq!(expected["expires_at"], Value::Null);
    assert_eq!(expected["last_used_at"], Value::Null);
    let created: keyfob::Timestamp = expected["created_at"].as_str().unwrap().parse().unwrap();

    service.call(&token.plain, Request::get("/api/v1/servers"));
    let used: keyfob::Timestamp = listed()["last_used_at"].as_str().unwrap().parse().unwrap();
    assert!(used >= created);
}

fn a_restart_keeps_tokens_logins_servers_and_the_last_use(server: Server) {
    let service = Service::start(server);
    let ada = service.log_in("ada");
    let token = ada.issue("ci", &["servers:read", "servers:create"]);
    let revoked = ada.issue("old", &["servers:read"]);
    ada.send(Request::delete(&revoked.path()));
    let create = Request::post("/api/v1/servers").json(&json!({ "name": "web-1" }));
    assert_eq!(service.call(&token.plain, create).status, 201);
    let before = ada.get(&token.path()).json();
    assert!(before["last_used_at"].is_string());
    let cookie = ada.cookie;

    let service = service.restart();
    let ada = super::Account { service: &service, cookie };
    // A use is written a minute after it was noted, or when the service stops.
    assert_eq!(ada.get(&token.path()).json(), before);
    let servers = service.call(&token.plain, Request::get("/api/v1/servers"));
    assert_eq!((servers.status, &servers.json()["servers"][0]["name"]), (200, &json!("web-1")));
    assert_eq!(service.call(&revoked.plain, Request::get("/api/v1/servers")).status, 401);
}

fn a_request_that_is_there_is_answered_before_the_service_stops(server: Server) {
    let service = Service::start(server);
    let cookie = service.log_in("ada").cookie;
    let body = r#"{"name":"ci"}"#;
    let mut client = TcpStream::connect(service.address).unwrap();
    write!(
        client,
        "POST /account/tokens HTTP/1.1\r\nhost: fleet\r\norigin: http://fleet\r\nconnection: close\r\ncookie: {cookie}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\nexpect: 100-continue\r\n\r\n",
        body.len()
    )
    .unwrap();
    // It says so once the handler waits for the body.
    let mut go_on = *b"HTTP/1.1 100 Continue\r\n\r\n";
    client.read_exact(&mut go_on).unwrap();

    service.ask_to_stop();
    while TcpStream::connect(service.address).is_ok() {}
    client.write_all(body.as_bytes()).unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");

    let service = service.restart();
    let ada = super::Account { service: &service, cookie };
    assert_eq!(ada.names(""), ["ci"]);
}

fn clients_that_hold_their_connections_do_not_hold_up_the_stop(server: Server) {
    let service = Service::start(server);
    let ada = service.log_in("ada");
    let token = ada.issue("ci", &["servers:read"]);
    let mut connections = [(); 3].map(|()| TcpStream::connect(service.address).unwrap());
    let request = |end: &str| {
        format!(
            "GET /api/v1/servers HTTP/1.1\r\nhost: fleet\r\nauthorization: Bearer {}\r\n{end}",
            token.plain
        )
    };
    // One has been served and is kept open, one stops midway, one says nothing.
    connections[0].write_all(request("\r\n").as_bytes()).unwrap();
    connections[0].read_exact(&mut [0; 100]).unwrap();
    connections[1].write_all(request("").as_bytes()).unwrap();
    let path = token.path();
    let cookie = ada.cookie;

    let service = service.restart();
    let ada = super::Account { service: &service, cookie };
    assert!(ada.get(&path).json()["last_used_at"].is_string());
}

fn a_request_that_is_never_ended_does_not_hold_a_connection(server: Server) {
    let settings = ["--header-timeout", "1", "--request-timeout", "1"];
    let service = Service::start_several(server, &settings, 1).remove(0);
    let send = |request: &str| {
        let mut stream = TcpStream::connect(service.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        // It may be closed with what was sent unread.
        let _ = stream.read_to_string(&mut answer);
        answer
    };
    for headers in ["", "GET /account/tok", "GET /account/tokens HTTP/1.1\r\nhost: fl"] {
        let answer = send(headers);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408 "), "{headers}: {answer}");
    }
    let login = "POST /login HTTP/1.1\r\nhost: fleet\r\norigin: http://fleet\r\n";
    let body = "content-type: application/json\r\ncontent-length: 100\r\n\r\n{";
    let answer = send(&format!("{login}{body}"));
    assert!(answer.starts_with("HTTP/1.1 408 Request Timeout\r\n"), "{answer}");
    assert!(answer.ends_with("\"code\":\"request_timeout\"}"), "{answer}");
}

fn the_line_that_it_prints_logs_in_and_calls_the_api_as_often_as_it_is_pasted(server: Server) {
    let service = Service::start(server);
    for _ in 0..2 {
        let pasted = Command::new("bash").args(["-c", &service.line_to_paste]).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&pasted.stderr), "");
        assert_eq!(String::from_utf8_lossy(&pasted.stdout), "{\"servers\":[]}\n");
    }
    let used = service.log_in("ada").get("/account/tokens").json();
    assert_eq!(used["tokens"].as_array().unwrap().len(), 2);
    assert!(used["tokens"][0]["last_used_at"].is_string());
}

fn no_secret_is_printed_logged_or_stored(server: Server) {
    let service = Service::start(server);
    let ada = service.log_in("ada");
    let token = ada.issue("ci", &["servers:read"]);
    let plain = token.plain.as_str();
    let secret = &plain.rsplit('_').next().unwrap()[..43];

    let everywhere = [
        Request::get("/api/v1/servers").bearer(plain),
        Request::get("/api/v1/servers").bearer(&format!("{plain}x")),
        Request::get("/api/v1/servers").bearer(&format!("{plain} {plain}")),
        Request::get("/api/v1/servers").bearer(plain).bearer(plain),
        Request::get("/api/v1/servers").header("authorization", plain),
        Request::get(&format!("/api/v1/servers?access_token={plain}")).bearer(plain),
        Request::get(&format!("/api/v1/servers/{plain}")).bearer(plain),
        Request::get(&format!("/{plain}")).bearer(plain),
        Request::post("/api/v1/servers").bearer(plain).json(&json!({ "name": plain })),
        Request::get(&format!("/account/tokens/{plain}")).header("cookie", &ada.cookie),
        Request::get(&format!("/account/tokens?cursor={plain}")).header("cookie", &ada.cookie),
        Request::post("/account/tokens")
            .header("cookie", &ada.cookie)
            .json(&json!({ "name": "x", "abilities": [secret] })),
        Request::post("/account/tokens")
            .header("cookie", &ada.cookie)
            .json(&json!({ "name": "x", "expires_at": plain, "metadata": plain })),
    ];
    for request in everywhere {
        let answer = request.send(&service);
        assert!(!format!("{answer:?}").contains(secret), "{answer:?}");
    }
    let new = Issued::read(&ada.act(&token, "rotate", &json!({})));
    let new_secret = &new.plain.rsplit('_').next().unwrap()[..43];
    assert_eq!(service.status(&new), 200);
    ada.send(Request::delete(&token.path()));
    service.call(plain, Request::get("/api/v1/servers"));

    let stored = service.stored_bytes();
    assert!(contains(&stored, b"ci"));
    assert!(!contains(&stored, secret.as_bytes()) && !contains(&stored, new_secret.as_bytes()));
    let written = service.stop();
    for line in ["token issued", "token refused"] {
        assert!(written.contains(line), "{line}: {written}");
    }
    assert!(!written.contains(secret) && !written.contains(new_secret), "{written}");
}

fn contains(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len()).any(|window| window == text)
}

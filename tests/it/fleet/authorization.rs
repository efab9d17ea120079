//! What may stand in `Authorization`, byte by byte over a socket.

use super::{Issued, Request, Server, Service, http::exchange};

on_every_server! {
    the_authorization_header_is_read_as_the_table_says,
}

const CASES: &str = include_str!("authorization.tsv");

fn the_authorization_header_is_read_as_the_table_says(server: Server) {
    let service = Service::start(server);
    let ada = service.log_in("ada");
    let mut wrong = Vec::new();
    for case in CASES.lines().filter(|line| !line.starts_with('#')) {
        let [name, request, expected] = *case.split('\t').collect::<Vec<_>>() else {
            panic!("not three columns: {case}");
        };
        // One for each case, so that no case uses up what others may ask for.
        let token = ada.issue(name, &["servers:read"]);
        let request = filled_in(request, &token, &ada.cookie);
        let (query, headers) = match request.strip_prefix('?') {
            Some(_) => (request.as_str(), ""),
            None => ("", request.as_str()),
        };
        let mut bytes = format!("GET /api/v1/servers{query} HTTP/1.1\r\n").into_bytes();
        bytes.extend(b"host: fleet\r\nconnection: close\r\n");
        for header in headers.split(" ¶ ").filter(|header| !header.is_empty()) {
            bytes.extend(unescaped(&repeated(header)));
            bytes.extend(b"\r\n");
        }
        bytes.extend(b"\r\n");

        let answer = exchange(service.address, &bytes);
        let code =
            if answer.body.starts_with(r#"{"type""#) { answer.code() } else { String::new() };
        let answered = format!("{} {code}", answer.status);
        let by_the_server = expected.ends_with("server") && (400..500).contains(&answer.status);
        if answered.trim_end() != expected.trim_end_matches(" or server") && !by_the_server {
            wrong.push(format!("{name}: {expected}, and not {answered}"));
        }
        let servers = service.call(&token.plain, Request::get("/api/v1/servers"));
        assert_eq!(servers.status, 200, "{name}: the token was good all the time");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn filled_in(request: &str, token: &Issued, cookie: &str) -> String {
    let plain = token.plain.as_str();
    let (cut, last) = plain.split_at(plain.len() - 1);
    let words = [
        ("{token}", plain.to_owned()),
        ("{changed}", format!("{cut}{}", if last == "0" { "1" } else { "0" })),
        ("{cut}", cut.to_owned()),
        ("{lower}", plain.to_lowercase()),
        ("{upper}", plain.to_uppercase()),
        ("{bare}", plain.trim_start_matches("fleet_").to_owned()),
        ("{public}", format!("fleet_{}", token.id)),
        ("{cookie}", cookie.to_owned()),
    ];
    words.iter().fold(request.to_owned(), |it, (word, text)| it.replace(word, text))
}

/// Writes `{A*9}` out.
fn repeated(text: &str) -> String {
    match text.split_once("{A*") {
        Some((before, rest)) => {
            let (times, after) = rest.split_once('}').unwrap();
            format!("{before}{}{after}", "A".repeat(times.parse().unwrap()))
        }
        None => text.to_owned(),
    }
}

fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let escaped = if byte == b'\\' { rest.next() } else { None };
        bytes.push(match escaped {
            None => byte,
            Some(b't') => b'\t',
            Some(b'r') => b'\r',
            Some(b'n') => b'\n',
            Some(b'x') => {
                let digits = [rest.next().unwrap(), rest.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            Some(other) => other,
        });
    }
    bytes
}

use super::*;

const NOW: Moment = Moment {
    at: 7,
    context: Context {
        tid: 1,
        token: 2,
        blocking: false,
    },
};

fn whole(bytes: &[u8]) -> Whole<'_> {
    Whole {
        bytes: Cow::Borrowed(bytes),
        moment: NOW,
    }
}

fn fields(headers: &Headers<'_>) -> Vec<(String, String)> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    headers
        .iter()
        .map(|(name, value)| (name.to_owned(), text(value)))
        .collect()
}

fn request_fields(head: &str) -> Result<Vec<(String, String)>, Malformed> {
    read_request(&whole(head.as_bytes()), |head| fields(&head.headers))
}

fn field(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

#[test]
fn reads_a_request() {
    let head = b"POST http://h:1/v1?a=b HTTP/1.0\r\nHost: h\r\nX-A:\t v \t\r\n\r\n";
    let seen = read_request(&whole(head), |head| {
        assert_eq!((head.at, head.context), (7, NOW.context));
        let fields = fields(&head.headers);
        (
            head.method.to_owned(),
            head.target.to_owned(),
            head.minor_version,
            fields,
        )
    });
    let fields = vec![field("Host", "h"), field("X-A", "v")];
    assert_eq!(
        seen,
        Ok(("POST".into(), "http://h:1/v1?a=b".into(), 0, fields))
    );
}

#[test]
fn reads_odd_fields() {
    let cases: &[(&str, &[(&str, &str)])] = &[
        ("GET / HTTP/1.1\nA: 1\nb:2\n\n", &[("A", "1"), ("b", "2")]),
        (
            "GET / HTTP/1.1\r\nA: 1\r\n  2\r\n\t3\r\nB: x\r\n\r\n",
            &[("A", "1    2  \t3"), ("B", "x")],
        ),
        (
            "GET / HTTP/1.1\r\nno colon\r\nA b: 1\r\nC: \r\n\r\n",
            &[("C", "")],
        ),
        ("GET  /  HTTP/1.1\r\n\r\n", &[]),
    ];
    for (head, wanted) in cases {
        let wanted = wanted
            .iter()
            .map(|(name, value)| field(name, value))
            .collect();
        assert_eq!(request_fields(head), Ok(wanted), "{head:?}");
    }
}

#[test]
fn reads_status_lines() {
    let status = |head: &[u8]| read_response(&whole(head), |head| head.status);
    assert_eq!(status(b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n"), Ok(200));
    assert_eq!(status(b"HTTP/1.0 404\r\n\r\n"), Ok(404));
    assert_eq!(status(b"HTTP/1.1 200 \xc3\xa4\r\n\r\n"), Ok(200));
    assert_eq!(status(b"HTTP/1.1 2x0 OK\r\n\r\n"), Err(Malformed));
    assert_eq!(status(b"HTTP/2.0 200 OK\r\n\r\n"), Err(Malformed));
}

#[test]
fn the_number_of_fields_is_bounded() {
    for (number, sound) in [
        (47, true),
        (48, true),
        (49, true),
        (512, true),
        (513, false),
    ] {
        let head = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(number));
        let count = request_fields(&head).map(|fields| fields.len());
        assert_eq!(count, if sound { Ok(number) } else { Err(Malformed) });
    }
}

#[test]
fn finds_the_end_at_any_cut() {
    for head in [
        "GET / HTTP/1.1\r\nA: b\r\n\r\n",
        "GET / HTTP/1.1\nA: b\n\n",
        "GET / HTTP/1.1\r\n\r\n",
    ] {
        let longer = format!("{head}body\r\n\r\n");
        assert_eq!(find_end(longer.as_bytes(), 0), Some(head.len()));
        for cut in 1..head.len() {
            let mut partial = Partial::new(&[], NOW);
            assert_eq!(
                partial.extend(&longer.as_bytes()[..cut]),
                (cut, false),
                "{cut}"
            );
            let added = partial.extend(&longer.as_bytes()[cut..]);
            assert_eq!(added, (head.len() - cut, true), "{cut}");
        }
    }
}

#[test]
fn a_head_is_no_longer_than_64_kib() {
    let mut partial = Partial::new(b"GET / HTTP/1.1\r\nA: ", NOW);
    while !partial.is_full() {
        assert!(!partial.extend(&[b'a'; 1000]).1);
    }
    assert_eq!(partial.bytes.len(), MAX_HEAD);
}

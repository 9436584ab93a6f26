use super::super::testing::{REVIEW, reviewer, text};
use super::*;
use webhook_core::Settings;

fn post(query: &str, body: &str) -> Request<Full<Bytes>> {
    Request::post(format!("{PATH}{query}"))
        .header(CONTENT_TYPE, "application/json")
        .header(CONTENT_LENGTH, body.len())
        .body(Full::new(Bytes::copy_from_slice(body.as_bytes())))
        .unwrap()
}

#[test]
fn a_margin_is_left_of_the_time_that_is_named() {
    assert_eq!(time_for("a=b&timeout=2s"), Duration::from_secs(1));
    assert_eq!(time_for("timeout=1s"), Duration::from_millis(500));
    for more in ["timeout=10s", "timeout=30s", "timeout=99999s"] {
        assert_eq!(
            time_for(more),
            Duration::from_secs(1),
            "no client says how long"
        );
    }
    for odd in [
        "",
        "timeout=",
        "timeout=-3s",
        "timeout=2m",
        "timeout=99999999999999999999s",
    ] {
        assert_eq!(time_for(odd), USUAL_TIME, "{odd}");
    }
}

#[tokio::test]
async fn when_the_time_is_over_the_pod_stays_as_it_is() {
    let (reviewer, _) = reviewer(Limits::default(), Box::new(decide));
    let late = Instant::now().checked_sub(Duration::from_secs(2)).unwrap();
    let decision = reviewer
        .review(post("?timeout=2s", REVIEW), &Uses::default(), late)
        .await;
    let outcome = decision.unwrap().outcome();
    assert_eq!(outcome, webhook_core::Outcome::FailOpen(Doubt::Deadline));
    let begin = Instant::now();
    let decision = reviewer
        .review(post("?timeout=2s", REVIEW), &Uses::default(), begin)
        .await;
    assert_ne!(decision.unwrap().outcome(), outcome, "a second is left");
}

#[tokio::test]
async fn what_there_is_no_room_for_is_answered_by_its_first_bytes() {
    let long = REVIEW.replace("\"web\"", &format!("\"{}\"", "w".repeat(1 << 20)));
    for limits in [
        Limits {
            in_flight: 0,
            ..Limits::default()
        },
        Limits {
            bodies: 1 << 20,
            ..Limits::default()
        },
    ] {
        let never = |_: &[u8], _: &Facts| panic!("nobody decides");
        let (reviewer, _) = reviewer(limits, Box::new(never));
        let decision = reviewer
            .review(post("", &long), &Uses::default(), Instant::now())
            .await
            .unwrap();
        assert_eq!(
            decision.outcome(),
            webhook_core::Outcome::FailOpen(Doubt::Overload)
        );
        let answer = String::from_utf8(decision.response()).unwrap();
        assert!(answer.contains("705ab4f5"), "{answer}");
        let nonsense = "x".repeat((1 << 20) + 1);
        let refused = reviewer
            .review(post("", &nonsense), &Uses::default(), Instant::now())
            .await;
        assert_eq!(refused, Err(Refusal::Overload));
    }
}

#[tokio::test]
async fn a_panic_is_answered_and_counted() {
    let (reviewer, registry) = reviewer(Limits::default(), Box::new(|_, _| panic!("on purpose")));
    let decision = reviewer
        .review(post("", REVIEW), &Uses::default(), Instant::now())
        .await
        .unwrap();
    assert_eq!(
        decision.outcome(),
        webhook_core::Outcome::FailOpen(Doubt::Panic)
    );
    assert!(text(&registry).contains("panics_total 1\n"));
}

#[tokio::test]
async fn a_body_without_a_length_is_held_to_the_limit_too() {
    let limits = Limits {
        body: REVIEW.len(),
        ..Limits::default()
    };
    let (reviewer, _) = reviewer(limits, Box::new(decide));
    let chunked = |body: String| {
        let mut request = post("", &body);
        request.headers_mut().remove(CONTENT_LENGTH);
        request
    };
    let fits = reviewer
        .review(chunked(REVIEW.to_owned()), &Uses::default(), Instant::now())
        .await;
    assert!(fits.is_ok());
    let over = reviewer
        .review(
            chunked(format!("{REVIEW} ")),
            &Uses::default(),
            Instant::now(),
        )
        .await;
    assert_eq!(over, Err(Refusal::TooLarge));
}

#[tokio::test]
async fn before_settings_were_read_nothing_is_decided() {
    let never = |_: &[u8], _: &Facts| panic!("nobody decides");
    let (mut reviewer, registry) = reviewer(Limits::default(), Box::new(never));
    reviewer.facts = Arc::new(ArcSwap::from_pointee(Facts::unknown()));
    let decision = reviewer
        .review(post("", REVIEW), &Uses::default(), Instant::now())
        .await;
    let outcome = decision.unwrap().outcome();
    assert_eq!(outcome, webhook_core::Outcome::FailOpen(Doubt::NoSettings));
    assert!(text(&registry).contains("panics_total 0\n"));
    let facts = reviewer.facts.load().with_settings(Settings::default());
    assert!(facts.settings_known());
}

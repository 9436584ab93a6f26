//! The trace context of a request, which anybody may have written.
#![no_main]

use libfuzzer_sys::fuzz_target;
use probe_core::message::Headers;
use probe_core::trace_context::TraceContext;

fuzz_target!(|fields: Vec<(bool, Vec<u8>)>| {
    let name = |state: bool| if state { "TraceState" } else { "traceparent" };
    let fields: Vec<(&str, &[u8])> = fields
        .iter()
        .map(|(state, value)| (name(*state), value.as_slice()))
        .collect();
    if let Some(context) = TraceContext::from_headers(&Headers::new(&fields)) {
        assert_ne!(context.trace.0, [0; 16]);
        assert_ne!(context.parent.0, [0; 8]);
        assert!(context.state.len() <= 512);
        let parent = format!(
            "00-{}-{}-{:02x}",
            context.trace, context.parent, context.flags
        );
        let again = TraceContext::parse(&parent, [context.state.as_str()]);
        assert_eq!(again.as_ref(), Some(&context));
    }
});

//! kaos-probe.
mod kernel;
fn main() -> anyhow::Result<()> {
    let (mut feed, mut control) = kernel::load(16 << 20)?;
    control.set_policy(std::process::id(), probe_common::maps::Process::default())?;
    control.set_default_policy(1)?;
    let file = std::path::Path::new("/usr/lib/x86_64-linux-gnu/libssl.so.3");
    let _ = file;
    loop {
        feed.wait(std::time::Duration::from_millis(500))?;
        feed.drain(10000, |r| {
            if let Some((h, b)) = probe_common::record::Header::parse(r) {
                println!(
                    "{:?} dir={} conn={:x} tgid={} off={} len={} cap={} {:?}",
                    probe_common::record::Kind::from_u8(h.kind),
                    h.direction,
                    h.conn,
                    h.tgid,
                    h.offset,
                    h.len,
                    h.captured,
                    if h.kind == 3 {
                        String::from_utf8_lossy(&b[..b.len().min(60)]).into_owned()
                    } else {
                        format!("{:?}", probe_common::record::Open::parse(b))
                    }
                );
            }
        });
        eprintln!("{:?}", control.counters());
    }
}

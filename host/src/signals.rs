//! Ctrl-C and SIGTERM: the first drains, the second ends at once. Neither loses anything.

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::supervisor::StopHandle;

/// The exit code of a process that was ended before it had drained.
const EXIT_ENDED_AT_ONCE: i32 = 1;

/// Drains by `stop` at the first signal and ends the process at the second.
///
/// # Errors
///
/// When the operating system refuses the handlers.
pub fn drain_on_signal(stop: StopHandle) -> std::io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM])?;
    let watch = move || {
        for _ in &mut signals {
            if stop.is_draining() {
                tracing::warn!("ending at once: what was not committed will be processed again");
                // Nothing needs to be undone: the broker aborts the open transaction, the state holds only what is committed.
                end_at_once();
            }
            tracing::info!("draining; a second signal ends at once");
            stop.drain();
        }
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(watch)?;
    Ok(())
}

#[allow(clippy::disallowed_methods, reason = "ending without destructors is what the second signal asks for")]
fn end_at_once() -> ! {
    std::process::exit(EXIT_ENDED_AT_ONCE)
}

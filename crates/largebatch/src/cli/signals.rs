//! What the program sets for its whole process: its answer to signals, and an environment variable.

use std::sync::atomic::{AtomicBool, Ordering};

/// Set by Ctrl-C and by SIGTERM.
pub(super) static INTERRUPT: AtomicBool = AtomicBool::new(false);

/// Makes a write beyond the file-size limit fail with an error that is reported; otherwise a signal
/// would end the process without a message.
pub(super) fn ignore_file_size_signal() {
    #[cfg(unix)]
    // SAFETY: SIG_IGN installs no handler.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
    }
}

/// Without this variable, graphics libraries print an error for each adapter they examine, although
/// they work without it.
pub(super) fn quiet_graphics() {
    #[cfg(target_os = "linux")]
    if cfg!(feature = "wgpu")
        && std::env::var_os("XDG_RUNTIME_DIR").is_none()
        && std::fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() == 1)
    {
        // SAFETY: this process has no other thread that could read the environment meanwhile.
        unsafe { std::env::set_var("XDG_RUNTIME_DIR", std::env::temp_dir()) }
    }
}

/// Ctrl-C, SIGTERM and SIGHUP ask the process to stop the first time and end it the second time.
/// SIGUSR1, which schedulers send before the end, only asks. A SIGHUP that was ignored (`nohup`)
/// stays ignored.
pub(super) fn watch_interrupts() -> anyhow::Result<()> {
    // A study's worker runs several commands in one process.
    static WATCHED: std::sync::Mutex<bool> = std::sync::Mutex::new(false);
    let mut watched = WATCHED
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    if !*watched {
        #[cfg(unix)]
        // SAFETY: sets a signal's action and returns the previous one.
        let ignored = unsafe { libc::signal(libc::SIGHUP, libc::SIG_IGN) } == libc::SIG_IGN;
        ctrlc::set_handler(|| {
            if INTERRUPT.swap(true, Ordering::Relaxed) {
                std::process::exit(130);
            }
        })?;
        #[cfg(unix)]
        {
            extern "C" fn ask(_signal: libc::c_int) {
                INTERRUPT.store(true, Ordering::Relaxed);
            }
            // SAFETY: the handler only stores to an atomic, which is allowed in a signal handler.
            unsafe {
                libc::signal(libc::SIGUSR1, ask as *const () as libc::sighandler_t);
                if ignored {
                    libc::signal(libc::SIGHUP, libc::SIG_IGN);
                }
            }
        }
        *watched = true;
    }
    Ok(())
}

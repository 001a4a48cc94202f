//! Memory use as the system reports it; only on Linux.

use std::fs;

/// Resets this process's peak memory; `false` if the system does not support it.
pub(crate) fn reset_peak() -> bool {
    fs::write("/proc/self/clear_refs", "5").is_ok()
}

/// The process's peak resident memory since the last reset, in bytes.
pub(crate) fn peak() -> Option<u64> {
    field(&fs::read_to_string("/proc/self/status").ok()?, "VmHWM:")
}

/// The memory available to this process, in bytes: on the machine, or within its control group.
pub(crate) fn free() -> Option<u64> {
    let machine = field(&fs::read_to_string("/proc/meminfo").ok()?, "MemAvailable:")?;
    let number = |path: &str| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let group = number("/sys/fs/cgroup/memory.max").zip(number("/sys/fs/cgroup/memory.current"));
    Some(group.map_or(machine, |(limit, used)| {
        machine.min(limit.saturating_sub(used))
    }))
}

/// A field in kB, converted to bytes.
fn field(text: &str, name: &str) -> Option<u64> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.trim()
        .strip_suffix("kB")?
        .trim()
        .parse::<u64>()
        .ok()
        .map(|kb| kb * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read() {
        assert_eq!(
            field("VmPeak:\t  10 kB\nVmHWM:\t    1234 kB\n", "VmHWM:"),
            Some(1234 * 1024)
        );
        assert_eq!(field("MemTotal: 5 kB\n", "VmHWM:"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_large_block_raises_the_peak() {
        if !reset_peak() {
            return;
        }
        let before = peak().unwrap();
        let block = vec![1u8; 64 << 20];
        assert!(peak().unwrap() >= before + (60 << 20) && block.iter().all(|b| *b == 1));
        assert!(free().unwrap() > 0);
    }
}

//! What every process shows of itself.

use std::{
    fs,
    time::{SystemTime, UNIX_EPOCH},
};

use kestrel_proto::metrics::Family;

/// The version, the start and the size of this process. What the system does not tell is left out.
pub(crate) fn families(started_at: SystemTime) -> Vec<Family> {
    let started = started_at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let mut families = vec![
        Family::gauge("kestrel_build_info", "1, with the version of Kestrel.")
            .with(&[("version", env!("CARGO_PKG_VERSION"))], 1),
        Family::gauge(
            "kestrel_process_start_time_seconds",
            "When the process started, in seconds since 1970.",
        )
        .with(&[], started),
    ];
    if let Some(bytes) = resident_bytes() {
        let help = "Bytes of memory that the process has.";
        families
            .push(Family::gauge("kestrel_process_resident_memory_bytes", help).with(&[], bytes));
    }
    if let Some(descriptors) = open_descriptors() {
        let help = "File descriptors that the process has open.";
        families.push(Family::gauge("kestrel_process_open_fds", help).with(&[], descriptors));
    }
    families
}

/// Not from `statm`, which counts pages: how large they are takes a system call.
fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

fn open_descriptors() -> Option<u64> {
    let count = fs::read_dir("/proc/self/fd").ok()?.count() as u64;
    // One was that of the directory itself.
    Some(count.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use kestrel_proto::metrics::text;

    use super::*;

    #[test]
    fn a_process_knows_itself() {
        let started_at = UNIX_EPOCH + std::time::Duration::from_millis(12_345);
        let text = text(families(started_at));
        let version = env!("CARGO_PKG_VERSION");
        for line in [
            format!("kestrel_build_info{{version=\"{version}\"}} 1"),
            "kestrel_process_start_time_seconds 12".to_string(),
        ] {
            assert!(text.lines().any(|l| l == line), "no line {line} in:\n{text}");
        }
        assert!(resident_bytes().unwrap() > 1 << 20);
        let before = open_descriptors().unwrap();
        let _file = fs::File::open("/proc/self/status").unwrap();
        // Other tests open and close files at the same time.
        assert!(before > 2 && open_descriptors().unwrap() > 2);
    }
}

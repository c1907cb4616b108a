//! Errors as gRPC carries them: a `Status` whose details are the encoded report. A `Status` without
//! details comes from the transport: the other side could not be reached, or was lost.

use prost::Message;
use tonic::{Code, Status};

use crate::{DatanodeId, ErrorReport, SqlState, message};

/// Characters of a text in a status: it travels in a header, and headers are small.
const TEXT_CHARS: usize = 1000;

/// What a service answers for an error. Long texts are cut.
pub fn to_status(report: &ErrorReport) -> Status {
    let mut message = report.to_message();
    let texts =
        [&mut message.message, &mut message.detail, &mut message.hint, &mut message.context];
    for text in texts {
        if let Some((at, _)) = text.char_indices().nth(TEXT_CHARS) {
            text.truncate(at);
            text.push('…');
        }
    }
    Status::with_details(Code::Aborted, report.sqlstate.as_str(), message.encode_to_vec().into())
}

/// The error of a call to a datanode: its own, or 58K01 when the call itself failed.
pub(super) fn from_status(datanode: DatanodeId, status: &Status) -> ErrorReport {
    own_report(status).unwrap_or_else(|| lost(datanode, &why(status)))
}

/// The error of a call to the coordinator.
pub(super) fn from_coordinator(status: &Status) -> ErrorReport {
    own_report(status).unwrap_or_else(|| {
        ErrorReport::new(SqlState::SYSTEM_ERROR, "the coordinator cannot be reached")
            .detail(format!("{}.", why(status)))
    })
}

fn own_report(status: &Status) -> Option<ErrorReport> {
    let message = message::ErrorReport::decode(status.details()).ok()?;
    (!status.details().is_empty()).then(|| ErrorReport::from_message(message))
}

/// 58K01.
pub(super) fn lost(datanode: DatanodeId, why: &str) -> ErrorReport {
    ErrorReport::datanode_lost(datanode, format!("datanode \"{datanode}\" was lost"))
        .detail(format!("{why}."))
}

/// The transport's words: tonic keeps the cause in the sources.
fn why(status: &Status) -> String {
    let mut text = match status.message() {
        "" => status.code().description().to_string(),
        message => message.to_string(),
    };
    let mut source = std::error::Error::source(status);
    while let Some(error) = source {
        let cause = error.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
        source = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_survives_the_way_and_anything_else_is_a_loss() {
        let report = ErrorReport::new(SqlState::DIVISION_BY_ZERO, "division by zero")
            .detail("a detail.")
            .position(7)
            .context("COPY t, line 3")
            .on_datanode("dn3");
        assert_eq!(from_status(DatanodeId(0), &to_status(&report)), report);
        let long = ErrorReport { message: "é".repeat(100_000), ..report };
        let cut = from_status(DatanodeId(0), &to_status(&long));
        assert_eq!(cut.message, format!("{}…", "é".repeat(TEXT_CHARS)));
        let lost = from_status(DatanodeId(1), &Status::unavailable("tcp connect error"));
        assert_eq!(lost.sqlstate, SqlState::DATANODE_LOST);
        assert_eq!(lost.datanode.as_deref(), Some("dn2"));
        assert_eq!(lost.detail.as_deref(), Some("tcp connect error."));
    }
}

//! Errors and notices as the client sees them.

use kestrel_proto::{ErrorReport, Severity, SqlState};
use pgwire::messages::response::{ErrorResponse, NoticeResponse};

/// An ErrorResponse.
pub(super) fn error_response(report: &ErrorReport) -> ErrorResponse {
    ErrorResponse::new(fields(report))
}

/// A NoticeResponse.
pub(super) fn notice_response(report: &ErrorReport) -> NoticeResponse {
    NoticeResponse::new(fields(report))
}

/// The same error, ending the session.
pub(super) fn fatal(mut report: ErrorReport) -> ErrorReport {
    report.severity = Severity::Fatal;
    report
}

/// What the client sent is not the protocol (08P01).
pub(super) fn protocol_violation(message: impl Into<String>) -> ErrorReport {
    ErrorReport::new(SqlState::PROTOCOL_VIOLATION, message)
}

/// The fields of PostgreSQL's protocol, "Error and Notice Message Fields".
fn fields(report: &ErrorReport) -> Vec<(u8, String)> {
    let severity = report.severity.as_str();
    let mut fields = vec![
        (b'S', severity.to_string()),
        // The same word again: V is never translated.
        (b'V', severity.to_string()),
        (b'C', report.sqlstate.as_str().to_string()),
        (b'M', report.message.clone()),
    ];
    let datanode = report.datanode.as_ref().map(|name| format!("datanode {name}"));
    let context: Vec<String> = report.context.clone().into_iter().chain(datanode).collect();
    let object = report.object.as_deref().cloned().unwrap_or_default();
    let named = |name: String| (!name.is_empty()).then_some(name);
    let optional = [
        (b'D', report.detail.clone()),
        (b'H', report.hint.clone()),
        (b'P', report.position.map(|position| position.to_string())),
        (b'W', (!context.is_empty()).then(|| context.join("\n"))),
        (b's', named(object.schema)),
        (b't', named(object.table)),
        (b'c', named(object.column)),
        (b'n', named(object.constraint)),
        (b'R', report.routine.map(str::to_string)),
    ];
    fields.extend(optional.into_iter().filter_map(|(code, text)| Some((code, text?))));
    for (_, text) in &mut fields {
        // A zero byte would end the field.
        text.retain(|c| c != '\0');
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_fields_are_sent() {
        let report = ErrorReport::new(SqlState::UNDEFINED_TABLE, "no\0pe")
            .detail("d")
            .hint("h")
            .position(8)
            .on_datanode("dn2")
            .about_column("t", "a")
            .in_schema("public");
        let text: Vec<String> = error_response(&report)
            .fields
            .iter()
            .map(|(code, text)| format!("{}={text}", *code as char))
            .collect();
        let expected = [
            "S=ERROR",
            "V=ERROR",
            "C=42P01",
            "M=nope",
            "D=d",
            "H=h",
            "P=8",
            "W=datanode dn2",
            "s=public",
            "t=t",
            "c=a",
        ];
        assert_eq!(text, expected);
    }
}

//! `COPY … FROM STDIN`: the client's data, in either protocol.

use kestrel_proto::ErrorReport;
use pgwire::messages::copy::CopyInResponse;

use super::backend::Session;
use super::clients::Running;
use super::connection::Connection;
use super::error_response::{fatal, protocol_violation};
use super::failure::{Failure, Interrupt};
use crate::session::CopyIn;

/// Takes the client's data for its session up to CopyDone; the command tag. The next piece is taken
/// only when the one before is: a slow cluster slows the client.
pub(super) async fn copy_in<S: Session>(
    (connection, session): (&mut Connection, &mut S),
    running: &Running,
    mut copy: Box<dyn CopyIn>,
) -> Result<String, Failure> {
    let columns = i16::try_from(copy.columns()).unwrap_or(i16::MAX);
    let format = i8::from(copy.is_binary());
    let formats = vec![i16::from(format); usize::from(columns.unsigned_abs())];
    connection.put(&CopyInResponse::new(format, columns, formats));
    if let Err(interrupt) = connection.flush(running).await {
        return Err(give_up(copy, interrupt.into()).await);
    }
    loop {
        let frame = match connection.read(running).await {
            Ok(frame) => frame,
            Err(failure) => return Err(give_up(copy, failure).await),
        };
        match frame.kind {
            b'd' => match connection.attend(running, copy.data(frame.body)).await {
                Ok(Ok(())) => {}
                // A bad row: the load is over, and what the client still sends is ignored.
                Ok(Err(report)) => return Err(report.into()),
                Err(interrupt) => return Err(give_up(copy, interrupt.into()).await),
            },
            b'c' => return finish((connection, session), running, copy).await,
            b'f' => {
                let reason = match frame.copy_fail() {
                    Ok(reason) => reason,
                    Err(report) => return Err(give_up(copy, report.into()).await),
                };
                return Err(copy.fail(reason).await.into());
            }
            // Clients send Sync together with the Execute that began the COPY.
            b'H' | b'S' => {}
            kind => {
                let message =
                    format!("unexpected message type 0x{kind:02X} during COPY from stdin");
                let report = protocol_violation(message);
                connection.put_error(&report);
                give_up(copy, report.into()).await;
                return Err(out_of_step().into());
            }
        }
    }
}

/// CopyDone: the rows are looked at once more, and a load that came before the cancel stands.
async fn finish<S: Session>(
    (connection, session): (&mut Connection, &mut S),
    running: &Running,
    copy: Box<dyn CopyIn>,
) -> Result<String, Failure> {
    let work = async {
        let tag = copy.done().await?;
        session.copied().await.map(|()| tag)
    };
    match connection.attend_to_end(running, work).await? {
        (tag, None) => Ok(tag?),
        (Ok(tag), Some(Interrupt::Cancelled)) => Ok(tag),
        (_, Some(interrupt)) => Err(interrupt.into()),
    }
}

/// What the client has just sent is lost, and it may wait for an answer to it: as in PostgreSQL
/// (`PostgresMain`, postgres.c) the connection ends.
fn out_of_step() -> ErrorReport {
    fatal(protocol_violation("terminating connection because protocol synchronization was lost"))
}

/// The load ends for a reason of ours, which the client is told; the load's own words are not.
async fn give_up(copy: Box<dyn CopyIn>, failure: Failure) -> Failure {
    let reason = match &failure {
        Failure::Report(report) => report.message.clone(),
        Failure::Gone(_) => "the client has gone".to_string(),
    };
    copy.fail(reason).await;
    failure
}

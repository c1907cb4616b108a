//! Shows the server who we are: trust, a password in clear text, md5, SCRAM-SHA-256.

use std::future::poll_fn;

use fallible_iterator::FallibleIterator;
use kestrel_proto::{ErrorReport, Result};
use postgres_protocol::{
    authentication::{
        md5_hash,
        sasl::{ChannelBinding, SCRAM_SHA_256, ScramSha256},
    },
    message::{
        backend::{AuthenticationSaslBody, Message},
        frontend,
    },
};

use super::{
    connector::{Connector, Opened},
    frames::Incoming,
    report::{self, Lost},
    settings::{Password, SslMode, name},
};

/// Answers the server until it is content.
pub(super) async fn authenticate(connector: &Connector, opened: &mut Opened) -> Result<()> {
    let settings = connector.settings();
    let mut dialog = Dialog { connector, opened, scram: Scram::NotBegun };
    loop {
        match dialog.receive().await? {
            Message::AuthenticationOk => return dialog.end(),
            Message::AuthenticationCleartextPassword => {
                let password = dialog.clear_password()?.clone();
                dialog.send_password(password.reveal()).await?;
            }
            Message::AuthenticationMd5Password(body) => {
                let password = dialog.password()?.reveal();
                let hash = md5_hash(settings.user.as_bytes(), password, body.salt());
                dialog.send_password(hash.as_bytes()).await?;
            }
            Message::AuthenticationSasl(body) => dialog.begin_scram(&body).await?,
            Message::AuthenticationSaslContinue(body) => dialog.go_on(body.data()).await?,
            Message::AuthenticationSaslFinal(body) => dialog.check_server(body.data())?,
            Message::AuthenticationGss | Message::AuthenticationGssContinue(_) => {
                return Err(dialog.unknown_method("GSSAPI"));
            }
            Message::AuthenticationSspi => return Err(dialog.unknown_method("SSPI")),
            Message::AuthenticationKerberosV5 => return Err(dialog.unknown_method("Kerberos V5")),
            Message::AuthenticationScmCredential => {
                return Err(dialog.unknown_method("SCM credentials"));
            }
            Message::ErrorResponse(body) => {
                let datanode = connector.datanode();
                let reported = report::error(datanode, body.fields());
                return Err(reported.map_or_else(|lost| lost.report(datanode), |r| r.report));
            }
            Message::NoticeResponse(_) => {}
            _ => return Err(dialog.malformed("a message that does not belong to authentication")),
        }
    }
}

struct Dialog<'a> {
    connector: &'a Connector,
    opened: &'a mut Opened,
    scram: Scram,
}

/// How far SCRAM has come.
enum Scram {
    NotBegun,
    Begun(ScramSha256),
    /// The server has shown that it knows the password, too.
    Done,
}

impl Dialog<'_> {
    async fn receive(&mut self) -> Result<Message> {
        let incoming = poll_fn(|cx| self.opened.wire.poll_incoming(cx)).await;
        match incoming.map_err(|lost| self.lost(&lost))? {
            Incoming::Message(message) => Ok(message),
            Incoming::CopyData(_) => Err(self.malformed("COPY data before the authentication")),
        }
    }

    async fn flush(&mut self) -> Result<()> {
        let flushed = poll_fn(|cx| self.opened.wire.poll_flush(cx)).await;
        flushed.map_err(|lost| self.lost(&lost))
    }

    async fn send_password(&mut self, password: &[u8]) -> Result<()> {
        let written = frontend::password_message(password, self.opened.wire.outgoing());
        written.map_err(|_| self.refused("The password has a byte 0."))?;
        self.flush().await
    }

    async fn begin_scram(&mut self, body: &AuthenticationSaslBody) -> Result<()> {
        let mechanisms: Vec<String> = body
            .mechanisms()
            .map(|mechanism| Ok(mechanism.to_string()))
            .collect()
            .map_err(|error| self.malformed(&error))?;
        if !mechanisms.iter().any(|mechanism| mechanism == SCRAM_SHA_256) {
            let detail = format!(
                "Its SASL mechanisms are {}; the datanode has {SCRAM_SHA_256}.",
                mechanisms.join(", ")
            );
            return Err(self.refused(detail));
        }
        let password = self.password()?.reveal();
        let scram = ScramSha256::new(password, ChannelBinding::unsupported());
        let outgoing = self.opened.wire.outgoing();
        let written = frontend::sasl_initial_response(SCRAM_SHA_256, scram.message(), outgoing);
        written.map_err(|error| self.malformed(&error))?;
        self.scram = Scram::Begun(scram);
        self.flush().await
    }

    /// The library takes no more than 100 000 iterations, which bounds what this costs.
    async fn go_on(&mut self, data: &[u8]) -> Result<()> {
        let Scram::Begun(scram) = &mut self.scram else {
            return Err(self.malformed("a SASL message that was not asked for"));
        };
        let outgoing = self.opened.wire.outgoing();
        let updated =
            scram.update(data).and_then(|()| frontend::sasl_response(scram.message(), outgoing));
        updated.map_err(|error| self.malformed(&error))?;
        self.flush().await
    }

    fn check_server(&mut self, data: &[u8]) -> Result<()> {
        let Scram::Begun(scram) = &mut self.scram else {
            return Err(self.malformed("a SASL message that was not asked for"));
        };
        let checked = scram.finish(data);
        checked.map_err(|error| {
            self.refused(format!("The server did not prove that it knows the password: {error}."))
        })?;
        self.scram = Scram::Done;
        Ok(())
    }

    /// Who begins with SCRAM must end it: else a server could let us in without the proof.
    fn end(&self) -> Result<()> {
        match self.scram {
            Scram::NotBegun | Scram::Done => Ok(()),
            Scram::Begun(_) => Err(self.malformed("AuthenticationOk before the end of SCRAM")),
        }
    }

    fn password(&self) -> Result<&Password> {
        self.connector.settings().password.as_ref().ok_or_else(|| {
            self.refused("It asks for a password.").hint(format!("Set {}.", name::PASSWORD))
        })
    }

    fn clear_password(&self) -> Result<&Password> {
        if !self.opened.is_private {
            let detail = "It asks for the password in clear text, over a connection that is not \
                encrypted.";
            let hint = format!(
                "Set {} = {}, or scram-sha-256 in the database's rules.",
                name::SSL_MODE,
                SslMode::Require.as_str()
            );
            return Err(self.refused(detail).hint(hint));
        }
        self.password()
    }

    fn unknown_method(&self, method: &str) -> ErrorReport {
        self.refused(format!("It asks for authentication by {method}, which the datanode has not."))
    }

    fn refused(&self, detail: impl Into<String>) -> ErrorReport {
        report::refused(self.connector.datanode(), detail)
    }

    fn malformed(&self, what: impl std::fmt::Display) -> ErrorReport {
        self.lost(&Lost::malformed(what))
    }

    fn lost(&self, lost: &Lost) -> ErrorReport {
        let address = &self.connector.settings().address;
        let unreachable = |why: &dyn std::fmt::Display| {
            let detail = format!("Connecting to {address}: {why}.");
            report::unreachable(self.connector.datanode(), detail)
        };
        match lost {
            Lost::Closed => unreachable(&"the server closed the connection"),
            Lost::Io(error) => unreachable(error),
            Lost::Malformed(_) => lost.report(self.connector.datanode()),
        }
    }
}

//! The gate that clients come through: the rules of now, and what makes up the rest of a login.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    sync::Arc,
};

use kestrel_proto::{ErrorReport, Result, SqlState};
use parking_lot::RwLock;

use super::{ClientTls, HbaRules, MockNonce};

/// The rule file's name in the data directory.
pub const RULE_FILE: &str = "hba.conf";

/// Where the rules are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RuleSource {
    /// In this file, if it is there; else only this machine is trusted.
    Optional(PathBuf),
    /// In this file, which somebody has named.
    Required(PathBuf),
}

/// Who may come in, and how they show who they are.
#[derive(Debug)]
pub struct Gate {
    source: Option<RuleSource>,
    rules: RwLock<Arc<HbaRules>>,
    /// How connections are encrypted, if they are.
    pub tls: Option<ClientTls>,
    /// What makes up salts for roles that are not there.
    pub mock: MockNonce,
}

impl Gate {
    /// For this machine only, without a file, without TLS.
    pub fn for_this_machine() -> Self {
        let rules = RwLock::new(Arc::new(HbaRules::only_this_machine()));
        Self { source: None, rules, tls: None, mock: MockNonce(rand::random()) }
    }

    /// With the rules of a file.
    ///
    /// # Errors
    /// F0000 with the line that is wrong; 58P01 and 58030 when the file cannot be read.
    pub fn new(source: RuleSource, tls: Option<ClientTls>, mock: MockNonce) -> Result<Self> {
        let rules = RwLock::new(Arc::new(source.read()?));
        Ok(Self { source: Some(source), rules, tls, mock })
    }

    /// The rules of now.
    pub fn rules(&self) -> Arc<HbaRules> {
        Arc::clone(&self.rules.read())
    }

    /// Reads the file again, for those who come from now on.
    ///
    /// # Errors
    /// As [`Gate::new`]; the old rules stay.
    pub fn reload(&self) -> Result<()> {
        if let Some(source) = &self.source {
            let rules = Arc::new(source.read()?);
            *self.rules.write() = rules;
        }
        Ok(())
    }
}

impl RuleSource {
    fn path(&self) -> &Path {
        let (Self::Optional(path) | Self::Required(path)) = self;
        path
    }

    /// Whether there is a file.
    pub fn exists(&self) -> bool {
        self.path().exists()
    }

    fn read(&self) -> Result<HbaRules> {
        let path = self.path();
        match fs::read_to_string(path) {
            Ok(text) => HbaRules::parse(&text).map_err(|error| {
                let message = format!("\"{}\": {}", path.display(), error.message);
                ErrorReport { message, ..error }
            }),
            Err(error) => match (self, error.kind()) {
                (Self::Optional(_), ErrorKind::NotFound) => Ok(HbaRules::only_this_machine()),
                (_, kind) => {
                    let sqlstate = match kind {
                        ErrorKind::NotFound => SqlState::UNDEFINED_FILE,
                        _ => SqlState::IO_ERROR,
                    };
                    let what = "could not read the rule file";
                    let message = format!("{what} \"{}\": {error}", path.display());
                    Err(ErrorReport::new(sqlstate, message))
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_again_and_wrong_ones_are_not_taken() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(RULE_FILE);
        let mock = || MockNonce([0; 32]);
        let required = Gate::new(RuleSource::Required(path.clone()), None, mock()).unwrap_err();
        assert_eq!(required.sqlstate, SqlState::UNDEFINED_FILE);
        let gate = Gate::new(RuleSource::Optional(path.clone()), None, mock()).unwrap();
        assert_eq!(*gate.rules(), HbaRules::only_this_machine());
        fs::write(&path, "host all all all reject").unwrap();
        assert_eq!(*gate.rules(), HbaRules::only_this_machine(), "not yet");
        gate.reload().unwrap();
        let rules = gate.rules();
        assert_eq!(rules.rules.len(), 1);
        fs::write(&path, "host all all all trust\nhost all").unwrap();
        let error = gate.reload().unwrap_err();
        assert_eq!(error.sqlstate, SqlState::CONFIG_FILE_ERROR);
        assert!(error.message.contains("hba.conf\": line 2 of the rule file"), "{error}");
        assert_eq!(gate.rules(), rules);
        fs::remove_file(&path).unwrap();
        gate.reload().unwrap();
        assert_eq!(*gate.rules(), HbaRules::only_this_machine());
    }
}

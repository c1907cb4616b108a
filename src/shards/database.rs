//! The database that holds a datanode's shard: where it is, as whom to connect, and where the
//! password comes from.

use std::{
    env::{self, VarError},
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use kestrel_datanode::shard::{
    ShardSettings,
    kes::session::{Address, KesSettings, Password},
};
use kestrel_proto::{ErrorReport, Result, SqlState};

/// How long a statement waits for a lock in the database. Without a bound, two of them could wait
/// for each other in two databases, and no database would see it.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);
/// Bits of others in a file's mode: a password is its owner's alone.
const MODE_OF_OTHERS: u32 = 0o077;

/// A datanode's database. It has no password, only the place of one, so that it may be printed and
/// given to another process.
#[derive(Clone, Debug)]
pub struct ShardDatabase {
    /// How to connect. Its password is not set.
    settings: KesSettings,
    /// Where the password is.
    password: PasswordSource,
}

/// Where a password is read from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PasswordSource {
    /// There is none.
    #[default]
    None,
    /// The first line of this file, which is its owner's alone.
    File(PathBuf),
    /// This environment variable.
    Environment(String),
}

impl ShardDatabase {
    /// A database, with the defaults for all that has one.
    pub fn new(address: Address, database: &str, user: &str, password: PasswordSource) -> Self {
        let settings = KesSettings::new(address, database, user);
        Self::of(KesSettings { lock_timeout: LOCK_TIMEOUT, ..settings }, password)
    }

    /// As `settings` say, but for their password.
    pub(super) fn of(settings: KesSettings, password: PasswordSource) -> Self {
        Self { settings: KesSettings { password: None, ..settings }, password }
    }

    /// How to connect, without the password.
    pub fn settings(&self) -> &KesSettings {
        &self.settings
    }

    /// What a datanode is started with: reads the password.
    ///
    /// # Errors
    /// F0000 when the password cannot be read, or is others' to read, too.
    pub(crate) fn open(&self) -> Result<ShardSettings> {
        let settings = KesSettings { password: self.password.read()?, ..self.settings.clone() };
        Ok(ShardSettings::Kes(Box::new(settings)))
    }

    /// The flags of `kestrel datanode` for it.
    pub fn arguments(&self) -> Vec<String> {
        let settings = &self.settings;
        let (host, port) = match &settings.address {
            Address::Tcp(host, port) => (host.clone(), port),
            Address::Unix(directory, port) => (directory.display().to_string(), port),
        };
        let ms = |span: Duration| format!("{}ms", span.as_millis());
        let mut arguments = vec!["--shard-kind".to_string(), "kes".into()];
        let mut add = |flag: &str, value: String| {
            arguments.extend([format!("--shard-{flag}"), value]);
        };
        add("host", host);
        add("port", port.to_string());
        add("database", settings.database.clone());
        add("user", settings.user.clone());
        match &self.password {
            PasswordSource::None => {}
            PasswordSource::File(file) => add("password-file", file.display().to_string()),
            PasswordSource::Environment(variable) => add("password-env", variable.clone()),
        }
        add("sslmode", settings.ssl_mode.as_str().into());
        if let Some(file) = &settings.root_certificates {
            add("root-certificates", file.display().to_string());
        }
        add("sessions", settings.sessions_max.to_string());
        add("session-wait", ms(settings.session_wait));
        add("idle-timeout", ms(settings.idle_timeout));
        add("connect-timeout", ms(settings.connect_timeout));
        add("restart-wait", ms(settings.restart_wait));
        add("cancel-timeout", ms(settings.cancel_timeout));
        add("lock-timeout", ms(settings.lock_timeout));
        add("keep-alive-idle", ms(settings.keep_alive_idle));
        add("keep-alive-interval", ms(settings.keep_alive_interval));
        add("keep-alive-probes", settings.keep_alive_probes.to_string());
        arguments
    }
}

impl PasswordSource {
    fn read(&self) -> Result<Option<Password>> {
        match self {
            Self::None => Ok(None),
            Self::File(file) => read_file(file).map(Some),
            Self::Environment(variable) => {
                let value = env::var(variable).map_err(|error| {
                    let why = match error {
                        VarError::NotPresent => "is not set",
                        // What it holds is not to be printed.
                        VarError::NotUnicode(_) => "is not UTF-8",
                    };
                    refused(format!("the environment variable \"{variable}\" {why}"))
                        .hint("It is to hold the password of the shard's database.")
                })?;
                Ok(Some(Password::new(value)))
            }
        }
    }
}

fn read_file(file: &Path) -> Result<Password> {
    let failed =
        |error| refused(format!("cannot read the password file \"{}\": {error}", file.display()));
    if fs::metadata(file).map_err(failed)?.mode() & MODE_OF_OTHERS != 0 {
        let message = format!("others may read the password file \"{}\"", file.display());
        return Err(refused(message).hint(format!("Run: chmod 600 {}", file.display())));
    }
    let text = fs::read_to_string(file).map_err(failed)?;
    match text.lines().next() {
        Some(password) if !password.is_empty() => Ok(Password::new(password)),
        _ => Err(refused(format!("the password file \"{}\" is empty", file.display()))
            .hint("Write the password into its first line.")),
    }
}

fn refused(message: String) -> ErrorReport {
    ErrorReport::new(SqlState::CONFIG_FILE_ERROR, message)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn password_of(database: &ShardDatabase) -> Result<Option<Password>> {
        match database.open()? {
            ShardSettings::Kes(settings) => Ok(settings.password),
            ShardSettings::Columnar => panic!("no database: {database:?}"),
        }
    }

    #[test]
    fn passwords_are_read_late_and_printed_never() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("password");
        let database = |password| {
            let address = Address::new("db1", 54321);
            ShardDatabase::new(address, "kestrel", "kestrel", password)
        };
        let of_file = database(PasswordSource::File(file.clone()));
        let missing = password_of(&of_file).unwrap_err();
        assert_eq!(missing.sqlstate, SqlState::CONFIG_FILE_ERROR, "{missing}");
        for (text, mode, expected) in [
            ("geheim\n", 0o600, Ok("geheim")),
            ("two words \r\nmore\n", 0o400, Ok("two words ")),
            ("geheim", 0o640, Err("others may read the password file")),
            ("geheim", 0o604, Err("others may read the password file")),
            ("\n", 0o600, Err("is empty")),
            ("", 0o600, Err("is empty")),
        ] {
            let _ = fs::remove_file(&file);
            fs::write(&file, text).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
            match (password_of(&of_file), expected) {
                (Ok(found), Ok(expected)) => {
                    assert_eq!(found, Some(Password::new(expected)), "{text:?}");
                }
                (Err(error), Err(expected)) => {
                    assert!(error.message.contains(expected), "{text:?}: {error}");
                    assert!(!format!("{error:?}").contains("geheim"), "{error:?}");
                }
                (found, expected) => panic!("{text:?} {mode:o}: {found:?}, not {expected:?}"),
            }
        }
        assert_eq!(password_of(&database(PasswordSource::None)), Ok(None));
        // Every process has this one.
        let path = database(PasswordSource::Environment("PATH".into()));
        let value = env::var("PATH").unwrap();
        assert_eq!(password_of(&path), Ok(Some(Password::new(&*value))));
        let shown = format!("{path:?} {:?} {:?}", path.open().unwrap(), path.arguments());
        assert!(!shown.contains(&value), "{shown}");
        let unset = database(PasswordSource::Environment("KESTREL_NO_SUCH_VARIABLE".into()));
        assert!(password_of(&unset).unwrap_err().message.ends_with("is not set"));
    }
}

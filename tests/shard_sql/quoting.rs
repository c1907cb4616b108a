//! Names and strings that try to end their quotes.

use kestrel_datanode::shard::kes::sql::{identifier, string};
use kestrel_proto::SqlState;

use super::{seed, values::text};
use crate::{
    generate::Rng,
    support::{Session, postgres},
};

#[tokio::test]
async fn random_names_and_strings_arrive_as_they_are() {
    let Some(postgres) = postgres() else { return };
    let session = Session::connect(&postgres.connection_string()).await;
    session.run_all(["SET search_path = ''", "CREATE TABLE public.kept (a int)"]).await;
    let mut rng = Rng::new(seed());
    for _ in 0..500 {
        let mut wanted = text(&mut rng, 40);
        if rng.chance(10) {
            wanted.push('\0');
            let error = string(&wanted).unwrap_err();
            assert_eq!(error.sqlstate, SqlState::CHARACTER_NOT_IN_REPERTOIRE, "{wanted:?}");
            assert!(identifier(&wanted).is_err(), "{wanted:?}");
            continue;
        }
        let quoted = string(&wanted).unwrap();
        let bytes = session.value(&format!("SELECT encode(textsend({quoted}), 'hex')")).await;
        let expected: String = wanted.bytes().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(bytes, expected, "seed {}: {wanted:?} as {quoted}", seed());

        let Ok(quoted) = identifier(&wanted) else {
            assert!(wanted.is_empty() || wanted.len() > 63, "refused: {wanted:?}");
            continue;
        };
        let sql = format!("SELECT * FROM (SELECT 1 AS {quoted}) AS {quoted}");
        let messages = session.client.simple_query(&sql).await;
        let messages = messages.unwrap_or_else(|e| panic!("seed {}: {sql}: {e}", seed()));
        let names: Vec<_> = messages
            .iter()
            .filter_map(|message| match message {
                tokio_postgres::SimpleQueryMessage::Row(row) => Some(row.columns()[0].name()),
                _ => None,
            })
            .collect();
        assert_eq!(names, [wanted.as_str()], "seed {}: {sql}", seed());
    }
    assert_eq!(session.value("SELECT count(*) FROM public.kept").await, "0");
}

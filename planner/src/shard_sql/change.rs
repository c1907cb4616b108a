//! UPDATE and DELETE for the databases that hold shards.

use kestrel_proto::Result;

use super::{Relation, quote::identifier};

/// `UPDATE "s"."t" SET "a" = value, … WHERE condition AND …`
///
/// # Errors
/// Those of [`identifier`].
pub fn update(
    relation: &Relation,
    assignments: &[(&str, String)],
    conditions: &[String],
) -> Result<String> {
    let assigned =
        assignments.iter().map(|(column, value)| Ok(format!("{} = {value}", identifier(column)?)));
    let assigned = assigned.collect::<Result<Vec<_>>>()?.join(", ");
    Ok(format!("UPDATE {} SET {assigned}{}", relation.quoted()?, where_all(conditions)))
}

/// `DELETE FROM "s"."t" WHERE condition AND …`
///
/// # Errors
/// Those of [`identifier`].
pub fn delete(relation: &Relation, conditions: &[String]) -> Result<String> {
    Ok(format!("DELETE FROM {}{}", relation.quoted()?, where_all(conditions)))
}

fn where_all(conditions: &[String]) -> String {
    match conditions.is_empty() {
        true => String::new(),
        false => format!(" WHERE {}", conditions.join(" AND ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden() {
        let relation = Relation { schema: "s".into(), name: "T\"1".into() };
        let conditions = ["(\"a\" > '1')".to_string(), "(\"b\" IS NULL)".to_string()];
        assert_eq!(
            update(&relation, &[("a", "(\"a\" + '1')".into()), ("B", "NULL".into())], &conditions),
            Ok("UPDATE \"s\".\"T\"\"1\" SET \"a\" = (\"a\" + '1'), \"B\" = NULL \
                WHERE (\"a\" > '1') AND (\"b\" IS NULL)"
                .into())
        );
        assert_eq!(delete(&relation, &[]), Ok("DELETE FROM \"s\".\"T\"\"1\"".into()));
    }
}

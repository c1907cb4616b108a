// pgjdbc: DatabaseMetaData, prepared statements, fetch size, COPY, errors, cancel.
// Run by `java -cp postgresql.jar Metadata.java postgres://user@host:port/database`.

import java.io.StringReader;
import java.math.BigDecimal;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import java.sql.Connection;
import java.sql.DatabaseMetaData;
import java.sql.Date;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.ResultSetMetaData;
import java.sql.SQLException;
import java.sql.Statement;
import java.sql.Types;
import java.util.ArrayList;
import java.util.List;
import java.util.Properties;
import java.util.UUID;
import org.postgresql.PGConnection;

public class Metadata {
    // Runs for minutes everywhere.
    static final String SLOW =
        "WITH d AS (SELECT * FROM (VALUES (0), (1), (2), (3), (4), (5), (6), (7), (8), (9)) d(n)) "
        + "SELECT count(*) FROM d a, d b, d c, d d, d e, d f, d g, d h, d i, d j "
        + "WHERE a.n + b.n + c.n + d.n + e.n + f.n + g.n + h.n + i.n + j.n = 45";

    interface Part {
        void run(Connection connection) throws Exception;
    }

    public static void main(String[] arguments) throws Exception {
        URI server = new URI(arguments[0]);
        String url = "jdbc:postgresql://" + server.getHost() + ":" + server.getPort() + server.getPath();
        Properties properties = new Properties();
        properties.setProperty("user", server.getUserInfo());
        properties.setProperty("ApplicationName", "shop");
        // Binary results and named statements from the second execution on.
        properties.setProperty("prepareThreshold", "2");
        try (Connection connection = DriverManager.getConnection(url, properties)) {
            try (Statement statement = connection.createStatement()) {
                statement.execute(Files.readString(Path.of("shop.sql")));
            }
            run("browses", Metadata::browses, connection);
            run("listsTheRest", Metadata::listsTheRest, connection);
            run("keepsValues", Metadata::keepsValues, connection);
            run("streams", Metadata::streams, connection);
            run("copies", Metadata::copies, connection);
            run("reportsErrors", Metadata::reportsErrors, connection);
            run("cancels", Metadata::cancels, connection);
            run("keepsTransactions", Metadata::keepsTransactions, connection);
            run("savesPoints", Metadata::savesPoints, connection);
        }
        if (failed) {
            System.exit(1);
        }
        System.out.println("ok");
    }

    static boolean failed = false;

    /** All parts are tried. */
    static void run(String name, Part part, Connection connection) throws SQLException {
        try {
            part.run(connection);
            System.out.println(name);
        } catch (Exception | AssertionError error) {
            failed = true;
            System.out.println(name + " FAILED");
            error.printStackTrace(System.out);
            if (!connection.getAutoCommit()) {
                connection.rollback();
                connection.setAutoCommit(true);
            }
        }
    }

    static void browses(Connection connection) throws SQLException {
        DatabaseMetaData metadata = connection.getMetaData();
        same(metadata.getDatabaseProductName(), "PostgreSQL");
        same(metadata.getDatabaseMajorVersion(), 15);
        same(rows(metadata.getTables(null, "shop", "%", new String[] {"TABLE", "VIEW"}),
                "TABLE_SCHEM", "TABLE_NAME", "TABLE_TYPE", "REMARKS"),
            "[shop.every_type.TABLE.null, shop.item.TABLE.what is for sale, shop.cheap.VIEW.null]");
        same(rows(metadata.getColumns(null, "shop", "item", "%"),
                "COLUMN_NAME", "DATA_TYPE", "TYPE_NAME", "COLUMN_SIZE", "DECIMAL_DIGITS", "NULLABLE",
                "COLUMN_DEF", "REMARKS", "ORDINAL_POSITION", "IS_NULLABLE", "IS_AUTOINCREMENT"),
            "[id.-5.int8.19.0.0.null.null.1.NO.NO, name.12.varchar.40.0.0.null.null.2.NO.NO, "
            + "price.2.numeric.10.2.1.0.in euros.3.YES.NO, sold.91.date.13.0.1.null.null.4.YES.NO]");
        same(rows(metadata.getPrimaryKeys(null, "shop", "item"), "COLUMN_NAME", "KEY_SEQ", "PK_NAME"),
            "[id.1.item_pkey]");
        same(rows(metadata.getIndexInfo(null, "shop", "item", false, false),
                "INDEX_NAME", "ORDINAL_POSITION", "COLUMN_NAME", "NON_UNIQUE", "TYPE"),
            "[item_name_key.1.id.f.3, item_name_key.2.name.f.3, item_pkey.1.id.f.3, item_sold.1.sold.t.3]");
        same(rows(metadata.getImportedKeys(null, "shop", "item"), "FKCOLUMN_NAME"), "[]");
        same(rows(metadata.getExportedKeys(null, "shop", "item"), "FKCOLUMN_NAME"), "[]");
        same(rows(metadata.getCrossReference(null, "shop", "item", null, "shop", "every_type"), "FK_NAME"), "[]");
        same(rows(metadata.getBestRowIdentifier(null, "shop", "item", DatabaseMetaData.bestRowSession, true),
            "COLUMN_NAME"), "[id]");
        String schemas = rows(metadata.getSchemas(), "TABLE_SCHEM");
        same(schemas.contains("public") && schemas.contains("shop"), true);
        same(rows(metadata.getSchemas(null, "sh%"), "TABLE_SCHEM"), "[shop]");
    }

    /** What tools list, whatever is in it. */
    static void listsTheRest(Connection connection) throws SQLException {
        DatabaseMetaData metadata = connection.getMetaData();
        same(rows(metadata.getCatalogs(), "TABLE_CAT").contains("kestrel"), true);
        same(rows(metadata.getTableTypes(), "TABLE_TYPE").contains("MATERIALIZED VIEW"), true);
        same(rows(metadata.getTypeInfo(), "TYPE_NAME").contains("timestamptz"), true);
        same(rows(metadata.getTablePrivileges(null, "shop", "item"), "PRIVILEGE").contains("SELECT"), true);
        same(rows(metadata.getColumnPrivileges(null, "shop", "item", "id"), "PRIVILEGE").contains("SELECT"), true);
        same(rows(metadata.getProcedures(null, "shop", "%"), "PROCEDURE_NAME"), "[]");
        same(rows(metadata.getFunctions(null, "shop", "%"), "FUNCTION_NAME"), "[]");
        same(rows(metadata.getFunctionColumns(null, "shop", "%", "%"), "FUNCTION_NAME"), "[]");
        same(rows(metadata.getVersionColumns(null, "shop", "item"), "COLUMN_NAME").contains("ctid"), true);
        rows(metadata.getUDTs(null, "shop", "%", null), "TYPE_NAME");
        same(rows(metadata.getClientInfoProperties(), "NAME"), "[ApplicationName]");
        same(metadata.getSQLKeywords().contains("analyze"), true);
        same(metadata.getMaxColumnNameLength(), 63);
        same(metadata.getDefaultTransactionIsolation(), Connection.TRANSACTION_READ_COMMITTED);
        same(metadata.getStringFunctions().isEmpty(), false);
    }

    static void keepsValues(Connection connection) throws SQLException {
        UUID uuid = UUID.fromString("01234567-89ab-cdef-0123-456789abcdef");
        String columns = "id, a_boolean, a_smallint, a_integer, a_bigint, a_real, a_double, a_numeric, a_text, "
            + "a_bytea, a_date, a_timestamptz, a_uuid, a_varchar";
        try (PreparedStatement insert = connection.prepareStatement("INSERT INTO shop.every_type (" + columns
                + ") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")) {
            same(insert.getParameterMetaData().getParameterType(8), Types.NUMERIC);
            for (int id = 1; id <= 4; id++) {
                insert.setInt(1, id);
                insert.setBoolean(2, true);
                insert.setShort(3, Short.MIN_VALUE);
                insert.setInt(4, Integer.MAX_VALUE);
                insert.setLong(5, Long.MIN_VALUE);
                insert.setFloat(6, 1.5f);
                insert.setDouble(7, -2.25e-300);
                insert.setBigDecimal(8, new BigDecimal("-123456789012345.67890"));
                insert.setString(9, "it's ü 🦅");
                insert.setBytes(10, new byte[] {0, 1, -1});
                insert.setDate(11, Date.valueOf("1999-12-31"));
                insert.setObject(12, java.time.OffsetDateTime.parse("2024-02-29T12:34:56Z"));
                insert.setObject(13, uuid);
                insert.setNull(14, Types.VARCHAR);
                insert.addBatch();
            }
            same(insert.executeBatch().length, 4);
        }
        // The first executions get text, the later ones binary.
        try (PreparedStatement select = connection.prepareStatement(
                "SELECT " + columns + " FROM shop.every_type WHERE id = ? AND a_numeric < ?")) {
            for (int id = 1; id <= 4; id++) {
                select.setInt(1, id);
                select.setBigDecimal(2, BigDecimal.ZERO);
                try (ResultSet row = select.executeQuery()) {
                    same(row.next(), true);
                    same(row.getBoolean(2), true);
                    same(row.getShort(3), Short.MIN_VALUE);
                    same(row.getLong(5), Long.MIN_VALUE);
                    same(row.getFloat(6), 1.5f);
                    same(row.getDouble(7), -2.25e-300);
                    same(row.getBigDecimal(8), new BigDecimal("-123456789012345.67890"));
                    same(row.getString(9), "it's ü 🦅");
                    same(row.getBytes(10)[2], (byte) -1);
                    same(row.getDate(11), Date.valueOf("1999-12-31"));
                    same(row.getObject(12, java.time.OffsetDateTime.class).toInstant().toString(), "2024-02-29T12:34:56Z");
                    same(row.getObject(13), uuid);
                    same(row.getString(14), null);
                    same(row.next(), false);
                }
            }
        }
        try (Statement statement = connection.createStatement();
                ResultSet rows = statement.executeQuery("SELECT * FROM shop.item ORDER BY id")) {
            ResultSetMetaData metadata = rows.getMetaData();
            same(metadata.getColumnCount() + " " + metadata.getTableName(1)
                + " " + metadata.isNullable(2) + " " + metadata.getPrecision(3) + " " + metadata.getScale(3)
                + " " + metadata.getColumnDisplaySize(2), "4 item 0 10 2 40");
        }
    }

    /** A fetch size makes a portal that is read in pieces; it needs a transaction. */
    static void streams(Connection connection) throws SQLException {
        connection.setAutoCommit(false);
        try (PreparedStatement statement = connection.prepareStatement("SELECT id FROM shop.item WHERE id > ? ORDER BY id")) {
            statement.setFetchSize(2);
            statement.setLong(1, 0);
            List<Long> ids = new ArrayList<>();
            try (ResultSet rows = statement.executeQuery()) {
                while (rows.next()) {
                    ids.add(rows.getLong(1));
                }
            }
            same(ids.toString(), "[1, 2, 3]");
            statement.setMaxRows(1);
            try (ResultSet rows = statement.executeQuery()) {
                same(rows.next() && !rows.next(), true);
            }
        }
        connection.commit();
        connection.setAutoCommit(true);
    }

    static void copies(Connection connection) throws Exception {
        long rows = connection.unwrap(PGConnection.class).getCopyAPI().copyIn(
            "COPY shop.item (id, name) FROM STDIN (FORMAT csv)", new StringReader("100,a\n101,\"b, c\"\n"));
        same(rows, 2L);
        java.io.StringWriter out = new java.io.StringWriter();
        connection.unwrap(PGConnection.class).getCopyAPI().copyOut(
            "COPY (SELECT id, name FROM shop.item WHERE id >= 100 ORDER BY id) TO STDOUT (FORMAT csv)", out);
        same(out.toString(), "100,a\n101,\"b, c\"\n");
    }

    static void reportsErrors(Connection connection) throws SQLException {
        String[][] cases = {
            {"SELECT * FROM shop.missing", "42P01"},
            {"SELECT missing FROM shop.item", "42703"},
            {"SELECT 1 / (id - 1) FROM shop.item", "22012"},
            {"INSERT INTO shop.item VALUES (1, 'again', 1, NULL)", "23505"},
        };
        for (String[] wrong : cases) {
            try (Statement statement = connection.createStatement()) {
                statement.execute(wrong[0]);
                throw new AssertionError("no error: " + wrong[0]);
            } catch (SQLException error) {
                same(error.getSQLState(), wrong[1]);
            }
        }
        try (Statement statement = connection.createStatement()) {
            statement.execute("DROP TABLE IF EXISTS shop.nothing");
            same(statement.getWarnings().getMessage(), "table \"nothing\" does not exist, skipping");
        }
    }

    static void cancels(Connection connection) throws Exception {
        try (Statement statement = connection.createStatement()) {
            statement.setQueryTimeout(1);
            try {
                statement.executeQuery(SLOW);
                throw new AssertionError("not cancelled");
            } catch (SQLException error) {
                same(error.getSQLState(), "57014");
            }
        }
        same(connection.isValid(5), true);
    }

    static void keepsTransactions(Connection connection) throws SQLException {
        connection.setAutoCommit(false);
        connection.setTransactionIsolation(Connection.TRANSACTION_REPEATABLE_READ);
        same(connection.getTransactionIsolation(), Connection.TRANSACTION_REPEATABLE_READ);
        try (Statement statement = connection.createStatement()) {
            same(statement.executeUpdate("INSERT INTO shop.item VALUES (300, 'never', 1, NULL)"), 1);
            connection.rollback();
            try (ResultSet rows = statement.executeQuery("SELECT count(*) FROM shop.item WHERE id = 300")) {
                same(rows.next() && rows.getLong(1) == 0, true);
            }
            connection.rollback();
        }
        connection.setReadOnly(true);
        try (Statement statement = connection.createStatement()) {
            statement.executeUpdate("INSERT INTO shop.item VALUES (300, 'never', 1, NULL)");
            throw new AssertionError("it wrote");
        } catch (SQLException error) {
            same(error.getSQLState(), "25006");
        }
        connection.rollback();
        connection.setReadOnly(false);
        connection.setAutoCommit(true);
        connection.setSchema("shop");
        same(connection.getSchema(), "shop");
    }

    static void savesPoints(Connection connection) throws SQLException {
        connection.setAutoCommit(false);
        try (Statement statement = connection.createStatement()) {
            java.sql.Savepoint point = connection.setSavepoint("before");
            try {
                statement.executeQuery("SELECT 1 / 0");
            } catch (SQLException error) {
                connection.rollback(point);
            }
            try (ResultSet rows = statement.executeQuery("SELECT 1")) {
                same(rows.next(), true);
            }
            connection.releaseSavepoint(point);
        }
        connection.commit();
        connection.setAutoCommit(true);
    }

    /** These columns of all rows, values joined by dots. */
    static String rows(ResultSet rows, String... columns) throws SQLException {
        List<String> lines = new ArrayList<>();
        while (rows.next()) {
            List<String> values = new ArrayList<>();
            for (String column : columns) {
                values.add(String.valueOf(rows.getString(column)));
            }
            lines.add(String.join(".", values));
        }
        rows.close();
        return lines.toString();
    }

    static void same(Object got, Object expected) {
        if (!java.util.Objects.equals(got, expected)) {
            throw new AssertionError("got " + got + "\nexpected " + expected);
        }
    }
}

// How the programs of this folder write a key or a value on one line: UTF-8 text in columns parted by tabs.

/** Columns of text: a tab, a new line, a carriage return and a backslash are written with a backslash, null is {@code \N}. */
final class Text {
    private Text() {}

    static String escape(String text) {
        if (text == null) {
            return "\\N";
        }
        return text.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r");
    }

    static String unescape(String column) {
        if (column.equals("\\N")) {
            return null;
        }
        if (column.indexOf('\\') < 0) {
            return column;
        }
        StringBuilder text = new StringBuilder(column.length());
        for (int i = 0; i < column.length(); i++) {
            char c = column.charAt(i);
            if (c != '\\' || i + 1 == column.length()) {
                text.append(c);
                continue;
            }
            char escaped = column.charAt(++i);
            text.append(
                    switch (escaped) {
                        case 't' -> '\t';
                        case 'n' -> '\n';
                        case 'r' -> '\r';
                        default -> escaped;
                    });
        }
        return text.toString();
    }

    static String hex(byte[] bytes) {
        return bytes == null ? "\\N" : java.util.HexFormat.of().formatHex(bytes);
    }
}

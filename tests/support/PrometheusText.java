import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/**
 * Reads the Prometheus text format, version 0.0.4, and is stricter than Prometheus: what the format only recommends is demanded, too. It
 * knows nothing of the program that wrote the text.
 *
 * @param families by name, in the order of the text
 */
record PrometheusText(Map<String, Family> families) {

    private static final Pattern NAME = Pattern.compile("[a-zA-Z_:][a-zA-Z0-9_:]*");
    private static final Pattern COMMENT = Pattern.compile("# (HELP|TYPE) (" + NAME + ") (.+)");
    private static final Pattern SAMPLE = Pattern.compile("(" + NAME + ")(?:\\{(.*)})? (\\S+)");
    private static final Pattern LABEL = Pattern.compile("([a-zA-Z_][a-zA-Z0-9_]*)=\"((?:[^\"\\\\\n]|\\\\[\\\\\"n])*)\"(,|$)");
    private static final Pattern NUMBER = Pattern.compile("[-+]?(\\d+\\.?\\d*|\\.\\d+)([eE][-+]?\\d+)?|NaN|[-+]Inf");
    private static final Pattern ESCAPE = Pattern.compile("\\\\(.)");
    private static final List<String> TYPES = List.of("counter", "gauge");

    /**
     * What one HELP, one TYPE and the samples after them tell.
     *
     * @param samples values by labels; a metric without labels has one with an empty map
     */
    record Family(String help, String type, Map<Map<String, String>, Double> samples) {}

    /** Thrown with the number of the line and the rule that it breaks. */
    static final class Malformed extends AssertionError {
        private static final long serialVersionUID = 1;

        private Malformed(int line, String text, String rule) {
            super("line " + line + ", \"" + text + "\": " + rule);
        }
    }

    /** Reads a whole answer; throws {@link Malformed} if it breaks a rule. */
    static PrometheusText parse(String text) {
        return new Parser(text).parse();
    }

    /** The only sample of a family without labels. */
    double value(String name) {
        return value(name, Map.of());
    }

    /** One sample; fails if there is none. */
    double value(String name, Map<String, String> labels) {
        return find(name, labels).orElseThrow(() -> new AssertionError("no " + name + labels + " in " + families));
    }

    /** One sample, 0 if there is none yet: for counters. */
    double count(String name, Map<String, String> labels) {
        return find(name, labels).orElse(0.0);
    }

    private Optional<Double> find(String name, Map<String, String> labels) {
        return Optional.ofNullable(families.get(name)).map(family -> family.samples().get(labels));
    }

    private static final class Parser {
        private final String text;
        private final Map<String, Family> families = new LinkedHashMap<>();
        private String current;
        private String help;
        private int number;
        private String line;

        Parser(String text) {
            this.text = text;
        }

        PrometheusText parse() {
            line = text;
            require(text.endsWith("\n"), "the last line must end with a line feed");
            require(!text.contains("\r"), "lines end with a line feed only");
            List<String> lines = new ArrayList<>(List.of(text.split("\n", -1)));
            lines.removeLast();
            for (String each : lines) {
                number++;
                line = each;
                read();
            }
            require(help == null, "HELP without TYPE");
            return new PrometheusText(families);
        }

        private void read() {
            Matcher comment = COMMENT.matcher(line);
            Matcher sample = SAMPLE.matcher(line);
            if (comment.matches() && comment.group(1).equals("HELP")) {
                readHelp(comment.group(2), comment.group(3));
            } else if (comment.matches()) {
                readType(comment.group(2), comment.group(3));
            } else {
                require(sample.matches(), "neither HELP, nor TYPE, nor a sample");
                readSample(sample.group(1), sample.group(2), sample.group(3));
            }
        }

        private void readHelp(String name, String words) {
            require(help == null, "two HELP in a row");
            require(!families.containsKey(name), "the lines of a family must stand together, with one HELP");
            require(words.replaceAll("\\\\[\\\\n]", "").indexOf('\\') < 0, "a backslash in HELP must be escaped");
            current = name;
            help = words;
        }

        private void readType(String name, String type) {
            require(help != null && name.equals(current), "TYPE must follow its HELP");
            require(TYPES.contains(type), "type must be one of " + TYPES);
            require(type.equals("counter") == name.endsWith("_total"), "counters, and nothing else, end in _total");
            families.put(name, new Family(help, type, new LinkedHashMap<>()));
            help = null;
        }

        private void readSample(String name, String labels, String number) {
            require(help == null && name.equals(current), "a sample must follow the HELP and TYPE of its family");
            double value = value(number);
            Family family = families.get(name);
            require(family.type().equals("gauge") || value >= 0 && value < Double.POSITIVE_INFINITY, "a counter is a number from 0 up");
            require(family.samples().put(labels(labels), value) == null, "the same labels twice");
        }

        private Map<String, String> labels(String list) {
            Map<String, String> labels = new TreeMap<>();
            int end = 0;
            Matcher label = LABEL.matcher(list == null ? "" : list);
            while (list != null && end < list.length()) {
                require(label.find(end) && label.start() == end,
                        "labels must be name=\"value\", separated by commas, with \\, \" and LF escaped");
                require(!label.group(1).startsWith("__"), "labels that begin with __ are reserved");
                require(labels.put(label.group(1), unescape(label.group(2))) == null, "the same label twice");
                end = label.end();
            }
            return labels;
        }

        private static String unescape(String value) {
            return ESCAPE.matcher(value)
                    .replaceAll(escape -> Matcher.quoteReplacement(escape.group(1).equals("n") ? "\n" : escape.group(1)));
        }

        private double value(String number) {
            require(NUMBER.matcher(number).matches(), "a value must be a number, NaN, +Inf or -Inf");
            return switch (number) {
                case "+Inf" -> Double.POSITIVE_INFINITY;
                case "-Inf" -> Double.NEGATIVE_INFINITY;
                default -> Double.parseDouble(number);
            };
        }

        private void require(boolean kept, String rule) {
            if (!kept) {
                throw new Malformed(number, line, rule);
            }
        }
    }
}

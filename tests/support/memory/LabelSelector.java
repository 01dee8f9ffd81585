import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Predicate;
import java.util.regex.Pattern;

/** Label selectors as the API takes them in {@code labelSelector}: {@code app=web,tier!=db,leader,!old,zone in (a,b),zone notin (c)}. */
final class LabelSelector {

    private static final Pattern BETWEEN = Pattern.compile(",(?![^(]*\\))");
    private static final Pattern EXISTS = Pattern.compile("\\s*(!?)\\s*([\\w./-]+)\\s*");
    private static final Pattern EQUALS = Pattern.compile("\\s*([\\w./-]+)\\s*(!=|==?)\\s*([\\w.-]*)\\s*");
    private static final Pattern IN = Pattern.compile("\\s*([\\w./-]+)\\s+(in|notin)\\s*\\(([\\w.,\\s-]*)\\)\\s*");

    private LabelSelector() {
    }

    /**
     * The predicate over an object's labels; all requirements must hold, and an absent or empty selector selects everything.
     * {@code !=} and {@code notin} hold for an object without the label, too.
     *
     * @param selector may be null
     * @throws IllegalArgumentException if it is malformed
     */
    static Predicate<Map<String, Object>> parse(String selector) {
        if (selector == null || selector.isBlank()) {
            return labels -> true;
        }
        List<Predicate<Map<String, Object>>> requirements = new ArrayList<>();
        for (var requirement : BETWEEN.split(selector, -1)) {
            requirements.add(requirement(requirement));
        }
        return labels -> requirements.stream().allMatch(requirement -> requirement.test(labels));
    }

    private static Predicate<Map<String, Object>> requirement(String text) {
        var exists = EXISTS.matcher(text);
        if (exists.matches()) {
            boolean wanted = exists.group(1).isEmpty();
            var key = exists.group(2);
            return labels -> labels.containsKey(key) == wanted;
        }
        var equals = EQUALS.matcher(text);
        if (equals.matches()) {
            return in(equals.group(1), Set.of(equals.group(3)), !equals.group(2).equals("!="));
        }
        var in = IN.matcher(text);
        if (in.matches()) {
            return in(in.group(1), Set.of(in.group(3).strip().split("\\s*,\\s*")), in.group(2).equals("in"));
        }
        throw new IllegalArgumentException("unable to parse requirement: " + text.strip());
    }

    private static Predicate<Map<String, Object>> in(String key, Set<String> values, boolean wanted) {
        return labels -> labels.get(key) instanceof String value && values.contains(value) == wanted
                || !wanted && !labels.containsKey(key);
    }
}

import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import com.google.gson.JsonParseException;
import com.google.gson.ToNumberPolicy;
import com.google.gson.reflect.TypeToken;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * JSON trees: {@code Map<String, Object>} of maps, lists, strings, {@code Long}, {@code Double} and booleans.
 *
 * <p>Trees that come out of {@link #merge} are immutable and share with their origin whatever did not change, so they can be handed
 * around and kept. Objects never hold null: in a body or a patch it means "absent".
 */
final class Json {

    private static final Gson GSON = new GsonBuilder()
            .setObjectToNumberStrategy(ToNumberPolicy.LONG_OR_DOUBLE).serializeNulls().disableHtmlEscaping().create();

    private Json() {
    }

    /**
     * Reads an object; nulls stay in it, as a merge patch needs them.
     *
     * @throws JsonParseException if the text is not a JSON object
     */
    static Map<String, Object> parse(String text) {
        var tree = GSON.fromJson(text, new TypeToken<Map<String, Object>>() { });
        if (tree == null) {
            throw new JsonParseException("unexpected end of JSON input");
        }
        return tree;
    }

    /** One line without line break; nulls are written, as a merge patch needs them. */
    static String print(Map<String, ?> tree) {
        return GSON.toJson(tree);
    }

    /** What is at that path; null if there is nothing. */
    static Object at(Map<String, ?> tree, String... path) {
        Object value = tree;
        for (var key : path) {
            value = value instanceof Map<?, ?> object ? object.get(key) : null;
        }
        return value;
    }

    /** The string at that path; null if there is none. */
    static String text(Map<String, ?> tree, String... path) {
        return at(tree, path) instanceof String text ? text : null;
    }

    /** The object at that path; empty if there is none. */
    static Map<String, Object> object(Map<String, ?> tree, String... path) {
        return at(tree, path) instanceof Map<?, ?> object ? object(object) : Map.of();
    }

    /** The list at that path; empty if there is none. */
    static List<?> list(Map<String, ?> tree, String... path) {
        return at(tree, path) instanceof List<?> list ? list : List.of();
    }

    /** The same where all of its elements are objects. */
    @SuppressWarnings("unchecked")
    static List<Map<String, Object>> objects(Map<String, ?> tree, String... path) {
        return (List<Map<String, Object>>) list(tree, path);
    }

    /** RFC 7386: the target with the patch merged in; null in the patch removes. */
    static Map<String, Object> merge(Map<String, Object> target, Map<String, ?> patch) {
        var merged = new LinkedHashMap<>(target);
        patch.forEach((key, value) -> {
            switch (value) {
                case null -> merged.remove(key);
                case Map<?, ?> inner -> merged.put(key, merge(object(merged, key), object(inner)));
                default -> merged.put(key, immutable(value));
            }
        });
        return Collections.unmodifiableMap(merged);
    }

    /** The object with one of its fields set, or removed if the value is null. */
    static Map<String, Object> with(Map<String, Object> object, String field, Object value) {
        var copy = new LinkedHashMap<>(object);
        if (value == null) {
            copy.remove(field);
        } else {
            copy.put(field, value);
        }
        return Collections.unmodifiableMap(copy);
    }

    private static Object immutable(Object value) {
        return switch (value) {
            case Map<?, ?> object -> merge(Map.of(), object(object));
            case List<?> list -> list.stream().map(Json::immutable).toList();
            case Integer number -> number.longValue();
            case null, default -> value;
        };
    }

    @SuppressWarnings("unchecked")
    private static Map<String, Object> object(Map<?, ?> tree) {
        return (Map<String, Object>) tree;
    }
}

import com.google.gson.Gson;
import com.google.gson.GsonBuilder;
import java.io.File;
import java.io.IOException;
import java.net.MalformedURLException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * What GraalVM's builder has to be told about reflection (reachability-metadata.json), as a set of single entries in the words of
 * tests/image/ReflectionAgent.java. A type's entry covers all questions about its members; using a member needs an entry of its own.
 */
final class ReachabilityMetadata {

    /** What the program reaches, but can do without. */
    private static final Map<String, String> DISPENSABLE = Map.of(
            "(java\\.sql|java\\.time)\\..*", "picocli has converters for these types, and no flag uses one",
            "java\\.beans\\..*", "snakeyaml reads bean properties by this class where it exists, and no kubeconfig has beans",
            "groovy\\..*|.*[Jj]ansi.*", "picocli looks whether these libraries are there, and they are not");

    private ReachabilityMetadata() {
    }

    /** The entries that a recording of a program with this class path asks for. */
    static Set<String> needed(Collection<String> findings, String classPath) throws IOException {
        Set<String> recording = Set.copyOf(findings);
        Set<String> needed = new TreeSet<>();
        URL[] jars = Arrays.stream(classPath.split(File.pathSeparator)).map(ReachabilityMetadata::url).toArray(URL[]::new);
        try (URLClassLoader program = new URLClassLoader(jars, ClassLoader.getPlatformClassLoader())) {
            recording.forEach(finding -> add(needed, finding, recording, program));
        }
        needed.removeIf(entry -> DISPENSABLE.keySet().stream().anyMatch(entry.split(" ")[1]::matches));
        return needed;
    }

    private static URL url(String entry) {
        try {
            return Path.of(entry).toUri().toURL();
        } catch (MalformedURLException e) {
            throw new IllegalArgumentException(e);
        }
    }

    private static void add(Set<String> needed, String finding, Set<String> recording, ClassLoader program) {
        String[] words = finding.split(" ");
        switch (words[0]) {
            case "fields" -> { } // a question that the type's entry covers
            // The JSON decoder uses what it was given, so the next answer of the API server may need the fields that this one did not.
            case "field" -> needed.add(recording.contains("fields " + words[1]) && !isOfJdk(words[1]) ? "fields " + words[1] : finding);
            case "resource" -> {
                if (program.getResource(words[1]) != null) {
                    needed.add(finding);
                }
            }
            case "proxy", "bundle" -> needed.add(finding);
            case "error" -> throw new IllegalArgumentException(finding);
            default -> {
                if (exists(words[1], program)) {
                    needed.add(finding);
                }
            }
        }
    }

    private static boolean isOfJdk(String type) {
        return type.startsWith("java.") || type.startsWith("jdk.") || type.startsWith("sun.");
    }

    private static boolean exists(String type, ClassLoader program) {
        String element = type.replace("[]", "");
        return element.matches("[a-z]+") || program.getResource(element.replace('.', '/') + ".class") != null;
    }

    /** The file's content for these entries. */
    static String print(Set<String> entries) {
        Map<String, Map<String, Object>> types = new TreeMap<>();
        List<Object> resources = new ArrayList<>();
        for (String entry : entries) {
            String[] words = entry.split(" ");
            switch (words[0]) {
                case "resource" -> resources.add(Map.of("glob", words[1]));
                case "bundle" -> resources.add(Map.of("bundle", words[1]));
                case "proxy" -> types.put(words[1], new LinkedHashMap<>(Map.of("type", Map.of("proxy", List.of(words[1].split(","))))));
                default -> {
                    Map<String, Object> type = types.computeIfAbsent(words[1], name -> new LinkedHashMap<>(Map.of("type", name)));
                    switch (words[0]) {
                        case "type" -> { }
                        case "fields" -> type.put("allDeclaredFields", true);
                        case "unsafe" -> type.put("unsafeAllocated", true);
                        case "field" -> add(type, "fields", Map.of("name", words[2]));
                        case "method" -> add(type, "methods", method(words[2]));
                        default -> throw new IllegalArgumentException(entry);
                    }
                }
            }
        }
        Gson gson = new GsonBuilder().disableHtmlEscaping().create();
        return "{\n\"reflection\": [\n" + types.values().stream().map(gson::toJson).collect(Collectors.joining(",\n"))
                + "\n],\n\"resources\": [\n" + resources.stream().map(gson::toJson).collect(Collectors.joining(",\n")) + "\n]\n}\n";
    }

    @SuppressWarnings("unchecked")
    private static void add(Map<String, Object> type, String list, Map<String, Object> member) {
        ((List<Object>) type.computeIfAbsent(list, name -> new ArrayList<>())).add(member);
    }

    private static Map<String, Object> method(String signature) {
        String parameters = signature.substring(signature.indexOf('(') + 1, signature.length() - 1);
        Map<String, Object> method = new LinkedHashMap<>(Map.of("name", signature.substring(0, signature.indexOf('('))));
        method.put("parameterTypes", parameters.isEmpty() ? List.of() : List.of(parameters.split(",")));
        return method;
    }

    /** The entries of such a file; fails for content that {@link #print} does not write. */
    static Set<String> parse(String file) {
        Map<String, Object> content = Json.parse(file);
        Set<String> entries = new TreeSet<>();
        objects(content, "resources").forEach(resource -> resource.forEach((kind, name) ->
                entries.add((kind.equals("glob") ? "resource " : kind + " ") + name)));
        for (Map<String, Object> type : objects(content, "reflection")) {
            if (type.get("type") instanceof Map<?, ?> proxy) {
                entries.add("proxy " + strings(proxy.get("proxy")).collect(Collectors.joining(",")));
                continue;
            }
            String name = (String) type.get("type");
            type.forEach((key, value) -> {
                switch (key) {
                    case "type" -> entries.add("type " + name);
                    case "allDeclaredFields" -> entries.add("fields " + name);
                    case "unsafeAllocated" -> entries.add("unsafe " + name);
                    case "fields" -> objects(type, "fields").forEach(field -> entries.add("field " + name + " " + field.get("name")));
                    case "methods" -> objects(type, "methods").forEach(method -> entries.add("method " + name + " " + method.get("name")
                            + strings(method.get("parameterTypes")).collect(Collectors.joining(",", "(", ")"))));
                    default -> throw new IllegalArgumentException(key + " of " + name);
                }
            });
        }
        return entries;
    }

    @SuppressWarnings("unchecked")
    private static List<Map<String, Object>> objects(Map<String, Object> tree, String list) {
        return (List<Map<String, Object>>) tree.get(list);
    }

    private static Stream<String> strings(Object list) {
        return ((List<?>) list).stream().map(String.class::cast);
    }
}

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.function.Predicate;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;

/** What comes from elsewhere is what was checked in: by content, not by name. {@code tests/supply-chain/pin} writes the list anew. */
class SupplyChainTest {

    private static final Path LIST = Path.of("tests", "supply-chain", "dependencies.sha256");
    private static final Path LICENCES = Path.of("tests", "supply-chain", "licences.md");
    private static final Path UNUSED = Path.of("tests", "image", "unused-jars.txt");

    @Test
    void every_library_of_this_run_has_the_content_that_was_checked_in() throws IOException, NoSuchAlgorithmException {
        Map<String, String> pinned = pinned();
        Map<String, String> wrong = new TreeMap<>();
        for (Path jar : libraries()) {
            String name = jar.getFileName().toString();
            if (!sha256(jar).equals(pinned.get(name))) {
                wrong.put(name, sha256(jar));
            }
        }

        assertEquals(Map.of(), wrong, "not in " + LIST + " or not as there");
        assertTrue(libraries().size() > 40, "this looked at " + libraries());
    }

    @Test
    void every_library_of_the_image_has_its_licence_listed() throws IOException {
        Set<String> listed = Files.readAllLines(LICENCES).stream().filter(line -> line.matches("\\| \\S+\\.jar \\|.*"))
                .map(line -> line.split(" ")[1]).collect(Collectors.toCollection(TreeSet::new));
        Set<String> unused = Set.copyOf(Files.readAllLines(UNUSED));
        // Those of the program are those of this run without the tools for testing, and without two jars of metadata only.
        Set<String> shipped = libraries().stream().map(jar -> jar.getFileName().toString()).filter(Predicate.not(unused::contains))
                .filter(name -> !name.matches("(junit|opentest4j|apiguardian|jspecify|kube-api-test|jackson-dataformat|okhttp-\\d|okio-\\d).*"))
                .collect(Collectors.toCollection(TreeSet::new));

        assertEquals(shipped, listed);
    }

    private static Map<String, String> pinned() throws IOException {
        return Files.readAllLines(LIST).stream().map(line -> line.split(" {2}"))
                .collect(Collectors.toMap(fields -> fields[1], fields -> fields[0]));
    }

    /** The jars of the class path but the one that JBang made of the sources. */
    private static List<Path> libraries() {
        String own = SupplyChainTest.class.getProtectionDomain().getCodeSource().getLocation().getPath();
        return Arrays.stream(System.getProperty("java.class.path").split(":")).filter(entry -> entry.endsWith(".jar") && !entry.equals(own))
                .map(Path::of).toList();
    }

    private static String sha256(Path file) throws IOException, NoSuchAlgorithmException {
        return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(Files.readAllBytes(file)));
    }
}

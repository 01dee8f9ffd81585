import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.List;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Predicate;
import java.util.stream.Collectors;
import org.junit.jupiter.api.Test;

/** What comes from elsewhere is what was checked in: by content, not by name. {@code tests/supply-chain/pin} writes the list anew. */
class SupplyChainTest {

    private static final Path LICENCES = Path.of("tests", "supply-chain", "licences.md");
    private static final Path WORKFLOW = Path.of(".github", "workflows", "ci.yml");
    private static final Path UNUSED = Path.of("tests", "image", "unused-jars.txt");

    @Test
    void every_library_of_this_run_has_the_content_that_was_checked_in() throws IOException, NoSuchAlgorithmException {
        assertEquals(Map.of(), PinnedLibraries.differing(libraries()), "not in " + PinnedLibraries.LIST + " or not as there");
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

    @Test
    void every_action_of_the_workflow_is_pinned_to_a_commit() throws IOException {
        List<String> actions = Files.readAllLines(WORKFLOW).stream().filter(line -> line.contains("uses:")).toList();
        assertFalse(actions.isEmpty());
        assertEquals(List.of(), actions.stream().filter(line -> !line.matches(".*uses: [\\w/-]+@[0-9a-f]{40} # v[\\d.]+")).toList());
    }

    @Test
    void actionlint_accepts_the_workflow() {
        assumeTrue(Program.onPath("actionlint").isPresent(), "actionlint is not on the PATH; install it by:"
                + " go install github.com/rhysd/actionlint/cmd/actionlint@v1.7.12");
        assertEquals("", Program.run("actionlint", WORKFLOW.toString()).output());
    }

    @Test
    void the_image_and_the_changes_name_the_version_of_the_program() throws IOException {
        String version = LeaderLabeler.VERSION;
        assertTrue(Files.readString(Path.of("Dockerfile")).contains("\nARG VERSION=" + version + "\n"));
        assertTrue(Files.readString(Path.of("CHANGELOG.md")).contains("\n## " + version));
    }

    /** The jars of the class path but the one that JBang made of the sources. */
    private static List<Path> libraries() {
        String own = SupplyChainTest.class.getProtectionDomain().getCodeSource().getLocation().getPath();
        return Arrays.stream(System.getProperty("java.class.path").split(":")).filter(entry -> entry.endsWith(".jar") && !entry.equals(own))
                .map(Path::of).toList();
    }
}

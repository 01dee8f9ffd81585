import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;

/** The examples of deploy/README.md by which an application learns who leads, run as they are printed there beside real sidecars. */
class RoleExampleTest {

    private static final String PRINTED_PATH = "/run/leader-labeler/role.json";

    @RegisterExtension
    static final ServedGroup GROUP = ServedGroup.ofClass(ServedGroup.BRISK);

    @BeforeAll
    static void elect() {
        GROUP.elect(2);
    }

    @Test
    void the_shell_example_tells_each_change() throws Exception {
        assumeTrue(Program.onPath("inotifywait").isPresent(), "inotifywait is not on the PATH; install inotify-tools");
        assertTellsChanges("watch-role.sh", "sh");
    }

    @Test
    void the_java_example_tells_each_change() throws Exception {
        assertTellsChanges("WatchRole.java", Path.of(System.getProperty("java.home"), "bin", "java").toString());
    }

    private static void assertTellsChanges(String example, String interpreter) throws IOException {
        ServedSidecar first = GROUP.leader();
        Path folder = Folders.temporary("example");
        Path program = Folders.write(folder, example, printed(example).replace(PRINTED_PATH, first.roleFile().toString()));
        Path output = folder.resolve("output");
        Process process = new ProcessBuilder(interpreter, program.toString()).redirectErrorStream(true).redirectOutput(output.toFile())
                .start();
        try {
            List<String> expected = new ArrayList<>(List.of("leads"));
            awaitLines(output, expected, process);
            for (String line : List.of("follows", "leads", "follows")) {
                GROUP.moveLead();
                expected.add(line);
                awaitLines(output, expected, process);
            }
            assertTrue(process.isAlive(), "it goes on");
        } finally {
            process.descendants().forEach(ProcessHandle::destroyForcibly);
            process.destroyForcibly();
        }
    }

    private static void awaitLines(Path output, List<String> expected, Process process) {
        Wait.until("the example says " + expected, Group.START, () -> lines(output).size() >= expected.size() || !process.isAlive());
        assertEquals(expected, lines(output));
    }

    private static List<String> lines(Path file) {
        try {
            return Files.readAllLines(file);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** The code block whose first line is a comment with this file name. */
    private static String printed(String file) throws IOException {
        Matcher block = Pattern.compile("```\\w+\\n((?:#|//) " + Pattern.quote(file) + "\\n.*?)```", Pattern.DOTALL)
                .matcher(Files.readString(Path.of("deploy", "README.md")));
        assertTrue(block.find(), "deploy/README.md prints " + file);
        return block.group(1);
    }
}

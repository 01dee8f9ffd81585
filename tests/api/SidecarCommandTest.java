import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.function.Supplier;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Whatever starts a sidecar process starts the one of {@code LEADER_LABELER_COMMAND}. */
class SidecarCommandTest {

    /** Who may name the program's class: what decides on the command, what is about jars or builds, and what is about a JVM. */
    private static final Set<String> ALLOWED = Set.of("SidecarCommand.java", "SidecarProcess.java", "Candidate.java",
            "Native.java", "NativeTest.java");

    private final Path folder = Folders.temporary("sidecar-command");

    @AfterEach
    void delete() {
        Folders.delete(folder);
    }

    /** What starts a sidecar when this is the given command. */
    private static <T> T given(String command, Supplier<T> start) {
        assumeTrue(System.getenv(SidecarCommand.VARIABLE) == null, SidecarCommand.VARIABLE + " is set, and wins over the system property");
        System.setProperty(SidecarCommand.VARIABLE, command);
        try {
            return start.get();
        } finally {
            System.clearProperty(SidecarCommand.VARIABLE);
        }
    }

    @Test
    void each_way_to_start_a_sidecar_starts_the_given_command_with_its_arguments() {
        Path program = Folders.write(folder, "program", "#!/bin/sh\necho \"$*\"\n");
        assertTrue(program.toFile().setExecutable(true));

        List<SidecarProcess> started = given(program + " own-argument", () -> List.of(
                SidecarProcess.start(folder, "default", "web-0", "--check"), SidecarProcess.start(Map.of(), "--check"),
                SidecarProcess.start(folder, "no.jar", Map.of(), "--check"),
                SidecarProcess.start(List.of("-Xmx1m"), "no.jar", Map.of(), "--check")));

        for (SidecarProcess each : started) {
            assertEquals(0, each.exitCode(Group.SOON), each.log());
            assertEquals("own-argument --check\n", each.log());
        }
    }

    @Test
    void a_command_that_cannot_be_run_is_named() {
        String message = assertThrows(IllegalArgumentException.class,
                () -> given("no/such/program --flag", () -> SidecarProcess.start(Map.of()))).getMessage();

        assertTrue(message.startsWith("LEADER_LABELER_COMMAND: \"no/such/program --flag\" must begin with the path of a program"), message);
    }

    /** A suite that named the program's class and ran it by itself would be found here. */
    @Test
    void no_test_starts_the_program_by_itself() throws IOException {
        Set<String> named = new TreeSet<>();
        try (Stream<Path> files = Files.walk(Path.of("tests"))) {
            for (Path file : files.filter(each -> each.toString().endsWith(".java")).toList()) {
                if (Files.readString(file).contains("\"LeaderLabeler\"")) {
                    named.add(file.getFileName().toString());
                }
            }
        }

        assertEquals(new TreeSet<>(ALLOWED), named);
    }
}

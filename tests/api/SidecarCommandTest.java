import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/** Whatever starts a sidecar process starts the one of {@code LEADER_LABELER_COMMAND}. */
class SidecarCommandTest {

    /** One for each way to start a sidecar process, and an argument by which the start is known. */
    private static final Map<String, String> WAYS = Map.of(
            "ExposureTest", "/role/role.json",
            "RoleFileTest#it_says_who_leads_and_by_which_epoch", "--retry-period=500ms",
            "ConnectionTest#a_user_name_and_a_password_are_a_credential", "--renew-deadline=240s");
    /** Who may name the program's class: what decides on the command, what is about jars or builds, and what is about a JVM. */
    private static final Set<String> ALLOWED = Set.of("SidecarCommand.java", "SidecarProcess.java", "Candidate.java",
            "SidecarCommandTest.java", "UnusedJarsTest.java", "UpgradeClassesTest.java", "Native.java", "NativeTest.java",
            "ReachabilityMetadataTest.java");

    private final Path folder = Folders.temporary("sidecar-command");

    @AfterEach
    void delete() {
        Folders.delete(folder);
    }

    @Test
    void each_way_to_start_a_sidecar_starts_the_given_command_with_its_arguments() throws IOException {
        Path started = folder.resolve("started");
        Path wrapper = Folders.write(folder, "wrapper", """
                #!/bin/sh
                echo "$*" >> '%s'
                shift # the argument that is part of the command
                exec '%s' "$@"
                """.formatted(started, String.join("' '", SidecarCommand.java(List.of("-Dsun.misc.unsafe.memory.access=allow"),
                        System.getProperty("java.class.path"), "LeaderLabeler"))));
        assertTrue(wrapper.toFile().setExecutable(true));

        Program.Outcome outcome = runTests(wrapper + " own-argument", WAYS.keySet());

        assertEquals(0, outcome.code(), outcome.output());
        List<String> starts = Files.readAllLines(started);
        WAYS.forEach((test, argument) -> assertTrue(starts.stream()
                .anyMatch(start -> start.startsWith("own-argument ") && start.contains(argument)), test + " is missing in " + starts));
    }

    @Test
    void a_command_that_cannot_be_run_is_named() {
        Program.Outcome outcome = runTests("no/such/program --flag", Set.of("ExposureTest"));

        assertEquals(1, outcome.code());
        assertTrue(outcome.output().contains("LEADER_LABELER_COMMAND: \"no/such/program --flag\" must begin with the path of a program"),
                outcome.output());
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

    private static Program.Outcome runTests(String command, Set<String> tests) {
        List<String> words = SidecarCommand.java(List.of(), System.getProperty("java.class.path"), "AllTests");
        words.addAll(tests);
        return Program.run(Map.of(SidecarCommand.VARIABLE, command), words);
    }
}

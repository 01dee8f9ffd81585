import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Optional;
import java.util.stream.Collectors;

/**
 * The command that starts the sidecar, wherever tests, demo, benchmark or the image's training start one as a process:
 * {@link LeaderLabeler} on a JVM, unless the environment variable {@code LEADER_LABELER_COMMAND} names another, such as a native executable.
 */
final class SidecarCommand {

    /** Marks tests that start sidecar processes without a real API server, for {@code AllTests --native}. */
    static final String TAG = "sidecar-command";
    static final String VARIABLE = "LEADER_LABELER_COMMAND";
    private static final String MAIN_CLASS = "LeaderLabeler";

    private SidecarCommand() {
    }

    /** The words of the variable, or else of the system property of that name, separated by spaces (no shell interprets them). */
    static Optional<List<String>> given() {
        return Optional.ofNullable(System.getenv(VARIABLE)).or(() -> Optional.ofNullable(System.getProperty(VARIABLE)))
                .map(SidecarCommand::parse);
    }

    /** The program's path becomes absolute, because some sidecars are started in other folders. */
    private static List<String> parse(String command) {
        List<String> words = Arrays.stream(command.split(" ")).filter(word -> !word.isEmpty()).collect(Collectors.toList());
        if (words.isEmpty() || !Files.isExecutable(Path.of(words.getFirst()))) {
            throw new IllegalArgumentException(VARIABLE + ": \"" + command + "\" must begin with the path of a program that can be run");
        }
        words.set(0, Path.of(words.getFirst()).toAbsolutePath().toString());
        return words;
    }

    /**
     * The sidecar with these arguments.
     *
     * @param settings flags of the JVM and its class path, both without effect on another command
     */
    static List<String> of(List<String> settings, String classPath, List<String> arguments) {
        List<String> command = new ArrayList<>(given().orElseGet(() -> java(settings, classPath, MAIN_CLASS)));
        command.addAll(arguments);
        return command;
    }

    /** A class with these arguments on this JVM's Java runtime, whatever the variable says; more can be added. */
    static List<String> java(List<String> settings, String classPath, String mainClass, String... arguments) {
        List<String> command = new ArrayList<>(List.of(Path.of(System.getProperty("java.home"), "bin", "java").toString()));
        command.addAll(settings);
        command.addAll(List.of("-cp", classPath, mainClass));
        command.addAll(List.of(arguments));
        return command;
    }
}

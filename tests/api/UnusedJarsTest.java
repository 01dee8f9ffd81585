import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.extension.RegisterExtension;

/**
 * The image leaves out jars and classes, see {@link ImageLibraries}. That an election needs nothing of the rest is shown by running one
 * without it, here against a real API server, and once more by the training in each build of the image.
 */
@Real
class UnusedJarsTest {

    /** Longer than anything takes here, the start of some JVMs on a busy machine included. */
    private static final Duration LIMIT = Duration.ofSeconds(60);
    private static final String ACCOUNT = "leader-labeler-web";

    @RegisterExtension
    final Groups groups = Groups.ofTest();

    private final Path folder = Folders.temporary("unused-jars");
    private final Map<String, Process> sidecars = new TreeMap<>();

    @AfterEach
    void end() {
        sidecars.values().forEach(Process::destroyForcibly);
    }

    @ConcurrentTest
    void an_election_needs_none_of_the_jars_that_the_image_leaves_out() throws IOException, InterruptedException {
        Group group = groups.empty(groups.server().newNamespace(), "web", Group.FAST);
        groups.server().kubectl("apply", "-n", group.namespace(), "-k", Path.of("deploy", "rbac").toString());
        start(group, "web-0");
        start(group, "web-1");
        String first = group.awaitLeader(LIMIT);
        String second = group.otherThan(first);
        group.await("an event of the election", LIMIT, () -> group.eventsOnLease().contains(first + " became leader"));
        group.editLabel(second, group.keys().leadership(), "true");
        group.awaitLeader(LIMIT);
        group.deleteLease();
        String third = group.awaitLeader(LIMIT);

        sidecars.get(third).destroy();

        group.awaitLeaderOtherThan(third, LIMIT);
        assertTrue(sidecars.get(third).waitFor(LIMIT.toSeconds(), TimeUnit.SECONDS));
        assertEquals(0, sidecars.get(third).exitValue());
        for (String pod : sidecars.keySet()) {
            String log = Files.readString(folder.resolve(pod));
            assertFalse(log.contains("Error") || log.contains("\tat "), log);
        }
    }

    @ConcurrentTest
    void what_is_missing_shows() throws IOException, InterruptedException {
        Path log = folder.resolve("log");

        Process process = java(log, "picocli");

        assertTrue(process.waitFor(LIMIT.toSeconds(), TimeUnit.SECONDS));
        assertTrue(Files.readString(log).contains("NoClassDefFoundError"), Files.readString(log));
    }

    private void start(Group group, String pod) throws IOException {
        group.createPod(pod, ACCOUNT);
        Path kubeconfig = groups.server().kubeconfigFor(group.namespace(), ACCOUNT);
        List<String> arguments = new ArrayList<>(Group.FAST);
        arguments.addAll(List.of("--election-name=web", "--http-address=off", "--namespace=" + group.namespace(), "--pod-name=" + pod));
        sidecars.put(pod, java(folder.resolve(pod), null, "KUBECONFIG=" + kubeconfig, arguments.toArray(String[]::new)));
    }

    private Process java(Path log, String withoutToo) throws IOException {
        return java(log, withoutToo, "KUBECONFIG=none", "--help");
    }

    /** Starts the program without the unused jars, and without those whose name begins with {@code withoutToo} unless that is null. */
    private Process java(Path log, String withoutToo, String environment, String... arguments) throws IOException {
        String classPath = Arrays.stream(ImageLibraries.classPath(folder).split(File.pathSeparator))
                .filter(entry -> withoutToo == null || !Path.of(entry).getFileName().toString().startsWith(withoutToo))
                .collect(Collectors.joining(File.pathSeparator));
        List<String> command = SidecarCommand.java(List.of("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx48m",
                "-Duser.home=" + folder, "-Dsun.misc.unsafe.memory.access=allow"), classPath, "LeaderLabeler", arguments);
        ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(log.toFile());
        String[] variable = environment.split("=", 2);
        builder.environment().put(variable[0], variable[1]);
        return builder.start();
    }
}

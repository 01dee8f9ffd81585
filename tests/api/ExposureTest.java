import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import java.io.File;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.extension.RegisterExtension;
import org.opentest4j.TestAbortedException;

/**
 * What a sidecar opens to the world and leaves behind: one listening socket, one file. It runs here in folders of its own, and may write
 * wherever this test may.
 */
@Tag(SidecarCommand.TAG)
class ExposureTest {

    @RegisterExtension
    final ServedGroup group = ServedGroup.ofTest(ServedGroup.BRISK);

    private final Path world = Folders.temporary("world");
    private final Endpoint endpoint = Endpoint.free();
    private Process process;

    /** The JVM's own file for its tools is switched off, as in the image. */
    @BeforeEach
    void start() throws IOException {
        for (String name : List.of("home", "tmp", "work", "role")) {
            Files.createDirectory(world.resolve(name));
        }
        group.group().createPod("web-0");
        List<String> settings = List.of("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData",
                "-Dsun.misc.unsafe.memory.access=allow", "-Duser.home=" + world.resolve("home"),
                "-Djava.io.tmpdir=" + world.resolve("tmp"));
        ProcessBuilder builder = new ProcessBuilder(SidecarCommand.of(settings, classPath(),
                List.of("--election-name=web", endpoint.flag(), "--role-file=" + world.resolve("role/role.json"))));
        builder.environment().clear();
        builder.environment().putAll(Map.of("KUBECONFIG", group.server().kubeconfig().toString(), "POD_NAME", "web-0",
                "POD_NAMESPACE", group.group().namespace(), "HOME", world.resolve("home").toString()));
        process = builder.directory(world.resolve("work").toFile()).redirectErrorStream(true)
                .redirectOutput(ProcessBuilder.Redirect.DISCARD).start();
        Wait.until("it leads", Group.SOON, () -> endpoint.code("/leader") == 200);
    }

    /** That of this JVM, whatever the folder. */
    private static String classPath() {
        return Stream.of(System.getProperty("java.class.path").split(File.pathSeparator))
                .map(entry -> Path.of(entry).toAbsolutePath().toString()).collect(Collectors.joining(File.pathSeparator));
    }

    @AfterEach
    void end() {
        process.destroyForcibly();
        process.onExit().join();
        Folders.delete(world);
    }

    /** All in one life, since each takes a start: whoever starts no process has no shell. */
    @Test
    void one_socket_listens_one_file_is_written_and_no_process_is_started() throws Exception {
        assertEquals(Set.of(endpoint.port()), ListeningSockets.of(process.pid()));
        assertTrue(ListeningSockets.connections(process.pid()) > 0, "those to the API server are seen");
        assertEquals(List.of(), process.descendants().toList());
        assertEquals(Set.of("/dev/null"), openForWriting());

        List.of("/", "/leader", "/healthz", "/readyz", "/metrics", "/nowhere").forEach(endpoint::get);
        assertEquals(Set.of("home", "role", "role/role.json", "tmp", "work"), files());
        process.destroy();
        assertTrue(process.waitFor(Group.SOON.toSeconds(), TimeUnit.SECONDS));
        assertEquals(0, process.exitValue());
        assertEquals(Set.of("home", "role", "tmp", "work"), files());
    }

    private Set<String> files() throws IOException {
        try (Stream<Path> files = Files.walk(world)) {
            return files.filter(file -> !file.equals(world)).map(file -> world.relativize(file).toString()).collect(Collectors.toSet());
        }
    }

    /** The files that the process holds open and may write to: {@code /proc/<pid>/fdinfo} has the flags, in octal. */
    private Set<String> openForWriting() throws IOException {
        Path proc = Path.of("/proc", Long.toString(process.pid()));
        if (!Files.isDirectory(proc.resolve("fdinfo"))) {
            throw new TestAbortedException("there is no " + proc);
        }
        Set<String> writable = new TreeSet<>();
        try (Stream<Path> descriptors = Files.list(proc.resolve("fdinfo"))) {
            for (Path info : descriptors.toList()) {
                String target = Files.readSymbolicLink(proc.resolve("fd").resolve(info.getFileName())).toString();
                boolean writes = Files.readAllLines(info).stream().filter(line -> line.startsWith("flags:"))
                        .anyMatch(line -> (Integer.parseInt(line.substring(6).strip(), 8) & 3) != 0);
                if (writes && target.startsWith("/")) {
                    writable.add(target);
                }
            }
        }
        return writable;
    }
}

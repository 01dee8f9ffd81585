import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.kubernetes.client.openapi.JSON;
import io.kubernetes.client.openapi.models.V1Lease;
import java.io.ByteArrayInputStream;
import java.io.DataInputStream;
import java.io.IOException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;
import org.junit.jupiter.api.BeforeAll;

/** What tests/image/UpgradeClasses.java makes of picocli, which the image's AOT cache holds because of that, and of client-java's JSON. */
class UpgradeClassesTest {

    private static final Path UPGRADE = Path.of("tests", "image", "UpgradeClasses.java");
    /** The first version of class files whose verification needs stack maps, and does not fall back to doing without. */
    private static final int WITH_STACK_MAPS = 50;
    private static final Duration LIMIT = Duration.ofMinutes(5);

    private static final Path ORIGINAL = Arrays.stream(System.getProperty("java.class.path").split(":")).map(Path::of)
            .filter(jar -> jar.getFileName().toString().startsWith("picocli-")).findFirst().orElseThrow();
    private static final Path FOLDER = Folders.temporary("upgrade");
    private static final Path UPGRADED = FOLDER.resolve("picocli.jar");

    @BeforeAll
    static void upgrade() throws IOException, InterruptedException {
        assumeTrue(Runtime.version().feature() >= 24, "the Class-File API needs Java 24");
        Files.copy(ORIGINAL, UPGRADED);
        assertEquals(0, java("upgrade.log", UPGRADE.toString(), UPGRADED.toString()), Files.readString(FOLDER.resolve("upgrade.log")));
    }

    @ConcurrentTest
    void each_class_can_be_archived_and_verified() throws Exception {
        Map<String, byte[]> content = content(UPGRADED);
        try (URLClassLoader loader = new URLClassLoader(new URL[] {UPGRADED.toUri().toURL()}, ClassLoader.getPlatformClassLoader())) {
            for (Map.Entry<String, byte[]> entry : content.entrySet()) {
                if (isClass(entry.getKey())) {
                    assertTrue(version(entry.getValue()) >= WITH_STACK_MAPS, entry.getKey());
                    Class.forName(entry.getKey().replace(".class", "").replace('/', '.'), true, loader);
                }
            }
        }
        assertTrue(content.keySet().stream().filter(UpgradeClassesTest::isClass).count() > 200, "picocli has many classes");
    }

    @ConcurrentTest
    void nothing_but_old_classes_is_changed() throws IOException {
        Map<String, byte[]> before = content(ORIGINAL);
        Map<String, byte[]> after = content(UPGRADED);

        assertEquals(before.keySet(), after.keySet());
        assertEquals(List.of(), before.keySet().stream()
                .filter(name -> !isClass(name) || version(before.get(name)) >= WITH_STACK_MAPS)
                .filter(name -> !Arrays.equals(before.get(name), after.get(name))).toList());
        assertTrue(before.entrySet().stream().anyMatch(entry -> isClass(entry.getKey()) && version(entry.getValue()) < WITH_STACK_MAPS),
                "picocli needs no upgrade any more");
    }

    @ConcurrentTest
    void an_upgraded_jar_stays_as_it_is() throws IOException, InterruptedException {
        Path again = Files.copy(UPGRADED, FOLDER.resolve("again.jar"));

        assertEquals(0, java("again.log", UPGRADE.toString(), again.toString()));

        assertEquals(-1, Files.mismatch(UPGRADED, again), "the second time there is nothing to do");
    }

    @ConcurrentTest
    void the_program_runs_with_it() throws IOException, InterruptedException {
        String path = System.getProperty("java.class.path");

        assertEquals(0, java("before.log", "-cp", path, "LeaderLabeler", "--help"));
        assertEquals(0, java("after.log", "-cp", path.replace(ORIGINAL.toString(), UPGRADED.toString()), "LeaderLabeler", "--help"));

        assertTrue(Files.readString(FOLDER.resolve("after.log")).contains("--election-name"));
        assertEquals(Files.readString(FOLDER.resolve("before.log")), Files.readString(FOLDER.resolve("after.log")));
    }

    /** Encodes and decodes a Lease. */
    static final class Codec {

        public static void main(String... lease) {
            System.out.println(JSON.serialize(JSON.deserialize(lease[0], V1Lease.class)));
        }
    }

    @ConcurrentTest
    void json_decodes_a_lease_as_before_without_loading_all_models() throws IOException, InterruptedException {
        String path = System.getProperty("java.class.path");
        Path models = Arrays.stream(path.split(":")).map(Path::of).filter(jar -> jar.getFileName().toString().matches("client-java-api-\\d.*"))
                .findFirst().orElseThrow();
        Path lean = Files.copy(models, FOLDER.resolve("models.jar"));
        String lease = """
                {"metadata":{"labels":{"a":"b"},"name":"web"},"spec":{"acquireTime":"2026-01-02T03:04:05.000006Z","holderIdentity":"web-0"}}""";

        assertEquals(0, java("lean.log", UPGRADE.toString(), lean.toString()));
        Set<String> outputs = new HashSet<>();
        for (Path jar : List.of(models, lean)) {
            Path loaded = FOLDER.resolve("loaded-from-" + jar.getFileName());
            assertEquals(0, java("codec.log", "-Xlog:class+load:file=" + loaded, "-cp", path.replace(models.toString(), jar.toString()),
                    Codec.class.getName(), lease), () -> "cannot decode by " + jar);

            outputs.add(Files.readString(FOLDER.resolve("codec.log")));
            long count = Files.readString(loaded).lines().filter(line -> line.contains(" io.kubernetes.client.openapi.models.")).count();
            assertTrue(jar == models ? count > 700 : count > 2 && count < 20, jar + ": " + count);
        }
        assertEquals(1, outputs.size(), outputs.toString());
        assertTrue(outputs.iterator().next().contains("\"holderIdentity\":\"web-0\""), outputs.toString());
    }

    private static int java(String log, String... arguments) throws IOException, InterruptedException {
        String[] command = new String[arguments.length + 1];
        command[0] = Path.of(System.getProperty("java.home"), "bin", "java").toString();
        System.arraycopy(arguments, 0, command, 1, arguments.length);
        Process process = new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(FOLDER.resolve(log).toFile()).start();
        try {
            assertTrue(process.waitFor(LIMIT.toSeconds(), TimeUnit.SECONDS), () -> "still running: " + List.of(command));
            return process.exitValue();
        } finally {
            process.destroyForcibly();
        }
    }

    private static boolean isClass(String name) {
        return name.endsWith(".class") && !name.endsWith("module-info.class");
    }

    private static int version(byte[] classFile) {
        try (DataInputStream in = new DataInputStream(new ByteArrayInputStream(classFile))) {
            in.skipBytes(Integer.BYTES + Short.BYTES);
            return in.readUnsignedShort();
        } catch (IOException truncated) {
            throw new IllegalArgumentException(truncated);
        }
    }

    private static Map<String, byte[]> content(Path jar) throws IOException {
        Map<String, byte[]> content = new TreeMap<>();
        try (ZipFile zip = new ZipFile(jar.toFile())) {
            for (ZipEntry entry : (Iterable<ZipEntry>) zip.stream().map(ZipEntry.class::cast)::iterator) {
                content.put(entry.getName(), zip.getInputStream(entry).readAllBytes());
            }
        }
        return content;
    }
}

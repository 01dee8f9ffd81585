import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.kubernetes.client.openapi.JSON;
import io.kubernetes.client.openapi.models.V1Lease;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;
import org.junit.jupiter.api.BeforeAll;

/** What tests/image/LeanJson.java makes of the jar of client-java's models. */
class LeanJsonTest {

    private static final String CLASS_PATH = System.getProperty("java.class.path");
    private static final Path ORIGINAL = ImageLibraries.models(CLASS_PATH);
    private static final Path FOLDER = Folders.temporary("lean-json");
    private static final Path LEAN = FOLDER.resolve("models.jar");

    @BeforeAll
    static void makeLean() throws IOException {
        assumeTrue(Runtime.version().feature() >= 24, "the Class-File API needs Java 24");
        Files.copy(ORIGINAL, LEAN);
        Program.Outcome outcome = makeLean(LEAN);
        assertEquals(0, outcome.code(), outcome.errors());
    }

    private static Program.Outcome makeLean(Path jar) {
        return java(List.of(), CLASS_PATH, "tests/image/LeanJson.java", jar.toString());
    }

    @ConcurrentTest
    void nothing_but_json_is_changed() throws IOException {
        Map<String, byte[]> before = content(ORIGINAL);
        Map<String, byte[]> after = content(LEAN);

        assertEquals(before.keySet(), after.keySet());
        assertEquals(List.of("io/kubernetes/client/openapi/JSON.class"),
                before.keySet().stream().filter(name -> !Arrays.equals(before.get(name), after.get(name))).toList());
    }

    @ConcurrentTest
    void a_jar_without_factories_stays_as_it_is_and_ends_the_build() throws IOException {
        Path again = Files.copy(LEAN, FOLDER.resolve("again.jar"));

        Program.Outcome outcome = makeLean(again);

        assertEquals(1, outcome.code());
        assertTrue(outcome.errors().contains("no factories"), outcome.errors());
        assertEquals(-1, Files.mismatch(LEAN, again));
    }

    /** Encodes and decodes a Lease. */
    static final class Codec {

        public static void main(String... lease) {
            System.out.println(JSON.serialize(JSON.deserialize(lease[0], V1Lease.class)));
        }
    }

    @ConcurrentTest
    void json_decodes_a_lease_as_before_without_loading_all_models() throws IOException {
        String lease = """
                {"metadata":{"labels":{"a":"b"},"name":"web"},"spec":{"acquireTime":"2026-01-02T03:04:05.000006Z","holderIdentity":"web-0"}}""";
        Set<String> outputs = new HashSet<>();
        for (Path jar : List.of(ORIGINAL, LEAN)) {
            Path loaded = FOLDER.resolve("loaded-from-" + jar.getFileName());

            Program.Outcome outcome = java(List.of("-Xlog:class+load:file=" + loaded),
                    CLASS_PATH.replace(ORIGINAL.toString(), jar.toString()), Codec.class.getName(), lease);

            assertEquals(0, outcome.code(), outcome.errors());
            outputs.add(outcome.output());
            long count = Files.readString(loaded).lines().filter(line -> line.contains(" io.kubernetes.client.openapi.models.")).count();
            assertTrue(jar == ORIGINAL ? count > 700 : count > 2 && count < 20, jar + ": " + count);
        }
        assertEquals(1, outputs.size(), outputs.toString());
        assertTrue(outputs.iterator().next().contains("\"holderIdentity\":\"web-0\""), outputs.toString());
    }

    private static Program.Outcome java(List<String> settings, String classPath, String mainClass, String argument) {
        return Program.run(Map.of(), SidecarCommand.java(settings, classPath, mainClass, argument));
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

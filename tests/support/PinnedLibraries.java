import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Collection;
import java.util.HexFormat;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;

/** What is checked in of libraries: name and SHA-256. {@code tests/supply-chain/pin} writes the list anew. */
final class PinnedLibraries {

    static final Path LIST = Path.of("tests", "supply-chain", "dependencies.sha256");

    private PinnedLibraries() {
    }

    /** Those of the jars that are not in the list or have another content, by name, with the SHA-256 that they have. */
    static Map<String, String> differing(Collection<Path> jars) throws IOException, NoSuchAlgorithmException {
        Map<String, String> pinned = Files.readAllLines(LIST).stream().map(line -> line.split(" {2}"))
                .collect(Collectors.toMap(fields -> fields[1], fields -> fields[0]));
        Map<String, String> differing = new TreeMap<>();
        for (Path jar : jars) {
            String sha256 = HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(Files.readAllBytes(jar)));
            if (!sha256.equals(pinned.get(jar.getFileName().toString()))) {
                differing.put(jar.getFileName().toString(), sha256);
            }
        }
        return differing;
    }
}

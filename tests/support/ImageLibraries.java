import java.io.File;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Set;
import java.util.UUID;
import java.util.function.Predicate;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;
import java.util.zip.ZipOutputStream;

/**
 * What the image's build makes of the libraries: the jars of tests/image/unused-jars.txt are left out, and of some others it keeps only the
 * classes of tests/image/needed-classes.txt.
 */
final class ImageLibraries {

    private static final Path UNUSED = Path.of("tests", "image", "unused-jars.txt");
    private static final Path NEEDED = Path.of("tests", "image", "needed-classes.txt");
    private static final Pattern REDUCED = Pattern.compile("(client-java-api-fluent|bcprov|bcpkix)-.*");

    private ImageLibraries() {
    }

    /** This JVM's class path with the program, its tests, and the libraries as in the image; jars that are made for it go to the folder. */
    static String classPath(Path folder) {
        try {
            Set<String> unused = Set.copyOf(Files.readAllLines(UNUSED));
            return Arrays.stream(System.getProperty("java.class.path").split(File.pathSeparator))
                    .map(entry -> Path.of(entry).toAbsolutePath())
                    .filter(jar -> !unused.contains(jar.getFileName().toString()))
                    .map(jar -> REDUCED.matcher(jar.getFileName().toString()).matches() ? reduced(jar, folder) : jar)
                    .map(Path::toString).collect(Collectors.joining(File.pathSeparator));
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** The jar of the API client's models, which tests/image/LeanJson.java changes. */
    static Path models(String classPath) {
        return Arrays.stream(classPath.split(File.pathSeparator)).map(Path::of)
                .filter(jar -> jar.getFileName().toString().matches("client-java-api-\\d.*")).findFirst().orElseThrow();
    }

    private static Path reduced(Path all, Path folder) {
        Path needed = folder.resolve(UUID.randomUUID() + "-" + all.getFileName());
        try (ZipFile in = new ZipFile(all.toFile()); ZipOutputStream out = new ZipOutputStream(Files.newOutputStream(needed))) {
            Predicate<String> isNeeded = Pattern.compile(String.join("|", Files.readAllLines(NEEDED))).asPredicate();
            for (String name : in.stream().map(ZipEntry::getName).filter(name -> name.endsWith(".class")).filter(isNeeded).toList()) {
                out.putNextEntry(new ZipEntry(name));
                in.getInputStream(in.getEntry(name)).transferTo(out);
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return needed;
    }
}

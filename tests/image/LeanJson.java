import java.io.IOException;
import java.lang.classfile.ClassFile;
import java.lang.classfile.ClassModel;
import java.lang.classfile.ClassTransform;
import java.lang.classfile.CodeTransform;
import java.lang.classfile.instruction.InvokeInstruction;
import java.lang.classfile.instruction.NewObjectInstruction;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.LocalDateTime;
import java.util.Arrays;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;
import java.util.zip.ZipOutputStream;

/**
 * Has the API client's {@code JSON} register no factory for each of its 717 models any more, which loads twice as many classes at each
 * start: {@code java LeanJson.java JAR}, which changes the jar of the client's models (Java 24). Exit code 1 if it has no such factories.
 *
 * <p>Gson decodes a model by its fields in any case; the factories only check the object first, for example whether a required field is
 * there.
 */
public final class LeanJson {

    private static final String JSON = "io/kubernetes/client/openapi/JSON.class";
    /** So that the same jar gives the same jar; ZIP knows no earlier day. */
    private static final LocalDateTime TIME = LocalDateTime.of(1980, 1, 1, 0, 0, 2);

    private LeanJson() {
    }

    /** Replaces the jar that the only argument names. */
    public static void main(String... arguments) throws IOException {
        Path jar = Path.of(arguments[0]);
        Path lean = Path.of(jar + ".lean");
        boolean isChanged = false;
        try (ZipFile in = new ZipFile(jar.toFile()); ZipOutputStream out = new ZipOutputStream(Files.newOutputStream(lean))) {
            for (ZipEntry entry : (Iterable<ZipEntry>) in.stream().map(ZipEntry.class::cast)::iterator) {
                byte[] content = in.getInputStream(entry).readAllBytes();
                byte[] written = entry.getName().equals(JSON) ? withoutFactories(content) : content;
                isChanged |= !Arrays.equals(content, written);
                ZipEntry same = new ZipEntry(entry.getName());
                same.setTimeLocal(TIME);
                out.putNextEntry(same);
                out.write(written);
            }
        }
        if (!isChanged) {
            Files.delete(lean);
            System.err.println("LeanJson: " + jar + ": no factories in " + JSON + "; the build needs this step no longer, or another jar");
            System.exit(1);
        }
        Files.move(lean, jar, StandardCopyOption.REPLACE_EXISTING);
    }

    private static byte[] withoutFactories(byte[] json) {
        ClassFile classFile = ClassFile.of();
        ClassModel model = classFile.parse(json);
        return classFile.transformClass(model, ClassTransform.transformingMethodBodies(
                method -> method.methodName().equalsString("<clinit>"), CodeTransform.ofStateful(LeanJson::withoutRegistrations)));
    }

    /** Leaves of each {@code builder.registerTypeAdapterFactory(new …)} the builder, which is then dropped as the result was. */
    private static CodeTransform withoutRegistrations() {
        AtomicBoolean within = new AtomicBoolean();
        return (code, instruction) -> {
            if (instruction instanceof NewObjectInstruction made && made.className().asInternalName().endsWith("$CustomTypeAdapterFactory")) {
                within.set(true);
            }
            if (!within.get()) {
                code.with(instruction);
            } else if (instruction instanceof InvokeInstruction call && call.name().equalsString("registerTypeAdapterFactory")) {
                within.set(false);
            }
        };
    }
}

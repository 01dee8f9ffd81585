import java.io.IOException;
import java.lang.classfile.ClassFile;
import java.lang.classfile.ClassFile.ClassHierarchyResolverOption;
import java.lang.classfile.ClassFile.StackMapsOption;
import java.lang.classfile.ClassFileVersion;
import java.lang.classfile.ClassHierarchyResolver;
import java.lang.classfile.ClassModel;
import java.lang.classfile.ClassTransform;
import java.lang.classfile.CodeTransform;
import java.lang.classfile.MethodModel;
import java.lang.classfile.MethodTransform;
import java.lang.classfile.instruction.InvokeInstruction;
import java.lang.classfile.instruction.NewObjectInstruction;
import java.net.URL;
import java.net.URLClassLoader;
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
 * Changes what the libraries' classes cost at each start, and not what their code does: {@code java UpgradeClasses.java JAR...} (Java 24).
 *
 * <p>Classes that were compiled for Java 5 get the stack maps that verifiers want since. The AOT cache holds no class without them
 * (JDK-8317269, open in Java 25), nor one that extends such a class. They are then read from their jar and verified one by one: all of picocli.
 *
 * <p>The API client's {@code JSON} no longer registers a factory for each of its 717 models, which loads twice as many classes. Gson
 * decodes a model by its fields in any case; the factories only check the object first, for example whether a required field is there.
 */
public final class UpgradeClasses {

    private static final int WITH_STACK_MAPS = ClassFile.JAVA_6_VERSION;
    private static final String JSON = "io/kubernetes/client/openapi/JSON";
    /** So that the same jar gives the same jar; ZIP knows no earlier day. */
    private static final LocalDateTime TIME = LocalDateTime.of(1980, 1, 1, 0, 0, 2);

    private UpgradeClasses() {
    }

    /** Replaces each jar that has such a class; one that has none stays as it is. */
    public static void main(String... jars) throws IOException {
        for (String jar : jars) {
            upgrade(Path.of(jar));
        }
    }

    private static void upgrade(Path jar) throws IOException {
        Path upgraded = Path.of(jar + ".upgraded");
        int count = 0;
        try (ZipFile in = new ZipFile(jar.toFile()); URLClassLoader classes = new URLClassLoader(new URL[] {jar.toUri().toURL()});
                ZipOutputStream out = new ZipOutputStream(Files.newOutputStream(upgraded))) {
            ClassFile classFile = ClassFile.of(StackMapsOption.GENERATE_STACK_MAPS,
                    ClassHierarchyResolverOption.of(ClassHierarchyResolver.ofResourceParsing(classes)));
            for (ZipEntry entry : (Iterable<ZipEntry>) in.stream().map(ZipEntry.class::cast)::iterator) {
                byte[] content = in.getInputStream(entry).readAllBytes();
                ClassModel model = entry.getName().endsWith(".class") ? classFile.parse(content) : null;
                if (model != null && model.majorVersion() < WITH_STACK_MAPS) {
                    content = upgrade(classFile, model);
                    count++;
                } else if (model != null && model.thisClass().name().equalsString(JSON)) {
                    byte[] lean = classFile.transformClass(model, ClassTransform.transformingMethodBodies(
                            method -> method.methodName().equalsString("<clinit>"), CodeTransform.ofStateful(UpgradeClasses::withoutFactories)));
                    count += Arrays.equals(content, lean) ? 0 : 1;
                    content = lean;
                }
                ZipEntry same = new ZipEntry(entry.getName());
                same.setTimeLocal(TIME);
                out.putNextEntry(same);
                out.write(content);
            }
        }
        if (count == 0) {
            Files.delete(upgraded);
        } else {
            Files.move(upgraded, jar, StandardCopyOption.REPLACE_EXISTING);
            System.out.println(jar + ": " + count + " classes upgraded");
        }
    }

    private static byte[] upgrade(ClassFile classFile, ClassModel model) {
        return classFile.build(model.thisClass().asSymbol(), builder -> {
            builder.withVersion(WITH_STACK_MAPS, 0);
            model.forEach(element -> {
                switch (element) {
                    case ClassFileVersion older -> { }
                    // Naming each instruction anew is what makes the library compute the maps.
                    case MethodModel method -> builder.transformMethod(method,
                            MethodTransform.transformingCode((code, instruction) -> code.with(instruction)));
                    default -> builder.with(element);
                }
            });
        });
    }

    /** Leaves of each {@code builder.registerTypeAdapterFactory(new …)} the builder, which is then dropped as the result was. */
    private static CodeTransform withoutFactories() {
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

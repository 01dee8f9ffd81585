import static java.lang.classfile.ClassFile.ACC_STATIC;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.classfile.ClassFile;
import java.lang.classfile.ClassTransform;
import java.lang.classfile.CodeBuilder;
import java.lang.classfile.CodeElement;
import java.lang.classfile.CodeModel;
import java.lang.classfile.CodeTransform;
import java.lang.classfile.MethodModel;
import java.lang.classfile.TypeKind;
import java.lang.constant.ClassDesc;
import java.lang.constant.ConstantDescs;
import java.lang.constant.MethodTypeDesc;
import java.lang.instrument.ClassFileTransformer;
import java.lang.instrument.Instrumentation;
import java.lang.reflect.AccessibleObject;
import java.lang.reflect.Array;
import java.lang.reflect.Constructor;
import java.lang.reflect.Executable;
import java.lang.reflect.Field;
import java.lang.reflect.Member;
import java.lang.reflect.Method;
import java.lang.reflect.Proxy;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.security.ProtectionDomain;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.ResourceBundle;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.stream.Collectors;

/**
 * Writes down what a program reaches by reflection: {@code java -javaagent:JAR=FILE …} (Java 24). A native executable contains only what it
 * was told of in advance, see {@link ReachabilityMetadata}.
 *
 * <p>The JDK's methods are changed so that they report each call before they do their work. Calls by the JDK itself are ignored, because the
 * native builder knows them, and so are method handles of constants. ClassLoader.loadClass is not watched: the JVM itself calls it. Each finding is appended to the file once per process, so that several processes can share it:
 *
 * <pre>
 * type TYPE                     a class was looked up by name, or was asked for its members
 * fields TYPE                   it was asked for all its fields at once
 * field TYPE NAME               a field is read, written or made accessible
 * method TYPE NAME(TYPE,TYPE)   a method or constructor is called or made accessible
 * unsafe TYPE                   an instance is made without constructor
 * proxy TYPE,TYPE               a proxy of these interfaces is made
 * resource NAME                 a resource is looked up; it may not exist
 * bundle NAME                   a resource bundle
 * error TEXT                    a call that could not be reported
 * </pre>
 */
public final class ReflectionAgent {

    private static final Map<Class<?>, Set<String>> WATCHED = Map.of(
            Class.class, Set.of("forName", "newInstance", "getDeclaredFields", "getFields", "getDeclaredField", "getField",
                    "getDeclaredMethods", "getMethods", "getDeclaredMethod", "getMethod", "getDeclaredConstructors", "getConstructors",
                    "getDeclaredConstructor", "getConstructor", "getRecordComponents", "getPermittedSubclasses", "getDeclaredClasses",
                    "getClasses", "getNestMembers", "getResource", "getResourceAsStream"),
            ClassLoader.class, Set.of("getResource", "getResources", "resources", "getResourceAsStream", "getSystemResource",
                    "getSystemResources", "getSystemResourceAsStream"),
            Field.class, Set.of("setAccessible", "get", "getBoolean", "getByte", "getChar", "getShort", "getInt", "getLong", "getFloat",
                    "getDouble", "set", "setBoolean", "setByte", "setChar", "setShort", "setInt", "setLong", "setFloat", "setDouble"),
            Method.class, Set.of("setAccessible", "invoke"), Constructor.class, Set.of("setAccessible", "newInstance"),
            AccessibleObject.class, Set.of("trySetAccessible"), Array.class, Set.of("newInstance"),
            Proxy.class, Set.of("newProxyInstance", "getProxyClass"), ResourceBundle.class, Set.of("getBundle"),
            sun.misc.Unsafe.class, Set.of("objectFieldOffset", "staticFieldOffset", "staticFieldBase", "allocateInstance"));
    private static final ClassDesc AGENT = ClassDesc.of("ReflectionAgent");
    private static final MethodTypeDesc RECORD = MethodTypeDesc.of(ConstantDescs.CD_void, ConstantDescs.CD_String,
            ConstantDescs.CD_Object, ConstantDescs.CD_Object.arrayType());

    private static final Set<String> FOUND = ConcurrentHashMap.newKeySet();
    private static final Set<Object> MEMBERS = ConcurrentHashMap.newKeySet();
    private static final ThreadLocal<Boolean> RECORDING = ThreadLocal.withInitial(() -> false);
    private static final StackWalker STACK = StackWalker.getInstance(
            Set.of(StackWalker.Option.RETAIN_CLASS_REFERENCE, StackWalker.Option.SHOW_REFLECT_FRAMES));
    private static Path file;

    private ReflectionAgent() {
    }

    /** Called by the JVM before the program's main; the argument is the file. */
    public static void premain(String argument, Instrumentation instrumentation) throws Exception {
        file = Path.of(argument).toAbsolutePath();
        write(""); // loads what writing needs
        // The manifest's Boot-Class-Path shows this class to the JDK's own, whose module has to read it, too.
        for (Class<?> type : List.of(Object.class, sun.misc.Unsafe.class)) {
            instrumentation.redefineModule(type.getModule(), Set.of(ReflectionAgent.class.getModule()), Map.of(), Map.of(), Set.of(),
                    Map.of());
        }
        instrumentation.addTransformer(new ClassFileTransformer() {
            @Override
            public byte[] transform(Module module, ClassLoader loader, String name, Class<?> type, ProtectionDomain domain, byte[] bytes) {
                return type == null || !WATCHED.containsKey(type) ? null : instrument(bytes, WATCHED.get(type));
            }
        }, true);
        instrumentation.retransformClasses(WATCHED.keySet().toArray(Class[]::new));
    }

    private static byte[] instrument(byte[] bytes, Set<String> names) {
        try {
            ClassFile classFile = ClassFile.of();
            return classFile.transformClass(classFile.parse(bytes), ClassTransform.ofStateful(() -> (builder, element) -> {
                if (element instanceof MethodModel method && method.code().isPresent()
                        && names.contains(method.methodName().stringValue())) {
                    builder.transformMethod(method, (methodBuilder, part) -> {
                        if (part instanceof CodeModel code) {
                            methodBuilder.transformCode(code, report(method));
                        } else {
                            methodBuilder.with(part);
                        }
                    });
                } else {
                    builder.with(element);
                }
            }));
        } catch (RuntimeException | Error e) {
            e.printStackTrace(); // the JVM would say nothing
            throw e;
        }
    }

    /** Before a method's first instruction: {@code record(name, this, arguments)}. */
    private static CodeTransform report(MethodModel method) {
        return new CodeTransform() {
            @Override
            public void atStart(CodeBuilder code) {
                boolean isStatic = (method.flags().flagsMask() & ACC_STATIC) != 0;
                code.loadConstant(method.methodName().stringValue());
                if (isStatic) {
                    code.aconst_null();
                } else {
                    code.aload(0);
                }
                List<ClassDesc> parameters = method.methodTypeSymbol().parameterList();
                code.loadConstant(parameters.size()).anewarray(ConstantDescs.CD_Object);
                for (int i = 0; i < parameters.size(); i++) {
                    if (!parameters.get(i).isPrimitive()) { // numbers do not matter
                        code.dup().loadConstant(i).loadLocal(TypeKind.REFERENCE, code.parameterSlot(i)).aastore();
                    }
                }
                code.invokestatic(AGENT, "record", RECORD);
            }

            @Override
            public void accept(CodeBuilder code, CodeElement element) {
                code.with(element);
            }
        };
    }

    /** Called at the beginning of each watched method; a member that was reported already costs no look at the stack. */
    public static void record(String method, Object self, Object[] arguments) {
        if (RECORDING.get() || self instanceof Member && MEMBERS.contains(self)) {
            return;
        }
        RECORDING.set(true);
        try {
            if (isCalledByProgram()) {
                found(method, self, arguments);
            }
        } catch (RuntimeException | Error e) { // which must not change what the program does
            write("error " + method + " of " + self + ": " + e);
        } finally {
            RECORDING.set(false);
        }
    }

    /** Whether the caller of the watched method, which may have called it by reflection, is none of the JDK's classes. */
    private static boolean isCalledByProgram() {
        return STACK.walk(frames -> frames.skip(3).map(StackWalker.StackFrame::getDeclaringClass)
                .filter(type -> !type.getName().matches("jdk\\.internal\\.reflect\\..*|java\\.lang\\.(invoke\\..*|reflect\\.Method)"))
                .findFirst().filter(type -> type.getClassLoader() == ClassLoader.getSystemClassLoader()).isPresent());
    }

    private static void found(String method, Object self, Object[] arguments) {
        switch (self) {
            case Class<?> type when method.startsWith("getResource") -> resource(type, (String) arguments[0]);
            case Class<?> type -> {
                type(type);
                if (method.equals("getDeclaredFields") || method.equals("getFields")) {
                    write("fields " + name(type));
                }
            }
            case ClassLoader loader -> write("resource " + arguments[0]);
            case Member member -> {
                member(member);
                MEMBERS.add(member);
            }
            case sun.misc.Unsafe unsafe when method.equals("allocateInstance") -> {
                type((Class<?>) arguments[0]);
                write("unsafe " + name((Class<?>) arguments[0]));
            }
            case sun.misc.Unsafe unsafe -> member((Field) arguments[0]);
            case null -> foundStatic(method, arguments);
            default -> throw new IllegalStateException(self.getClass() + "." + method);
        }
    }

    private static void foundStatic(String method, Object[] arguments) {
        switch (method) {
            case "forName" -> write("type " + (arguments[0] instanceof Module ? arguments[1] : arguments[0]));
            case "newInstance" -> type(((Class<?>) arguments[0]).arrayType());
            case "newProxyInstance", "getProxyClass" -> write("proxy " + Arrays.stream((Class<?>[]) arguments[1]).map(Class::getName)
                    .collect(Collectors.joining(",")));
            case "getBundle" -> write("bundle " + arguments[0]);
            default -> write("resource " + arguments[0]);
        }
    }

    private static void resource(Class<?> type, String name) {
        write("resource " + (name.startsWith("/") ? name.substring(1)
                : type.getPackageName().replace('.', '/') + (type.getPackageName().isEmpty() ? "" : "/") + name));
    }

    private static void member(Member member) {
        type(member.getDeclaringClass());
        String type = name(member.getDeclaringClass());
        if (member instanceof Executable executable) {
            write("method " + type + " " + (member instanceof Constructor ? "<init>" : member.getName())
                    + Arrays.stream(executable.getParameterTypes()).map(ReflectionAgent::name).collect(Collectors.joining(",", "(", ")")));
        } else {
            write("field " + type + " " + member.getName());
        }
    }

    private static void type(Class<?> type) {
        write("type " + name(type));
    }

    /** As the metadata wants it: {@code int[]}, not {@code [I}. */
    private static String name(Class<?> type) {
        return type.isArray() ? name(type.getComponentType()) + "[]" : type.getName();
    }

    private static void write(String finding) {
        if (FOUND.add(finding)) {
            try {
                Files.writeString(file, finding.isEmpty() ? "" : finding + "\n", StandardCharsets.UTF_8, StandardOpenOption.CREATE,
                        StandardOpenOption.APPEND);
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
    }
}

import com.baidu.beidou.navi.client.SimpleNaviRpcClient;
import com.baidu.beidou.navi.protocol.SerializeHandlerFactory;
import java.lang.reflect.Method;
import java.util.List;

/** Calls with Navi's own client in the encoding of a media type. */
public class BinaryCaller extends Caller {
    private final String medium;

    private BinaryCaller(String medium) {
        this.medium = medium;
    }

    public static void main(String[] args) throws Exception {
        new BinaryCaller(args[0]).run();
    }

    @Override
    Object call(List<String> urls, Method method, Object[] arguments) throws Throwable {
        return new SimpleNaviRpcClient(urls.get(0), 1000, 5000, SerializeHandlerFactory.getHandlerByProtocal(medium)).transport(method, arguments);
    }
}

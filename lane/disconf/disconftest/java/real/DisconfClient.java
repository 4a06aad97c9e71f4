import com.baidu.disconf.client.common.model.DisConfCommonModel;
import com.baidu.disconf.client.common.model.DisconfCenterBaseModel;
import com.baidu.disconf.client.common.model.DisconfCenterFile;
import com.baidu.disconf.client.common.model.DisconfCenterItem;
import com.baidu.disconf.client.common.constants.SupportFileTypeEnum;
import com.baidu.disconf.client.common.update.IDisconfUpdate;
import com.baidu.disconf.client.config.ConfigMgr;
import com.baidu.disconf.client.config.DisClientConfig;
import com.baidu.disconf.client.config.DisClientSysConfig;
import com.baidu.disconf.client.core.DisconfCoreFactory;
import com.baidu.disconf.client.core.DisconfCoreMgr;
import com.baidu.disconf.client.fetcher.FetcherFactory;
import com.baidu.disconf.client.fetcher.FetcherMgr;
import com.baidu.disconf.client.store.DisconfStoreProcessorFactory;
import com.baidu.disconf.client.support.registry.impl.SimpleRegistry;
import com.baidu.disconf.core.common.constants.DisConfigTypeEnum;
import com.baidu.disconf.core.common.path.DisconfWebPathMgr;
import java.util.Collections;
import java.util.TreeMap;

/**
 * A program that disconf's own client tells what is online. What disconf finds by scanning for annotations is put
 * into its store here; all that follows is disconf's.
 *
 * <p>Its settings are disconf's system properties; its arguments the keys, like item/abt2.online. Each value that
 * comes into effect is a line on standard output, with the environment's map behind an id. It ends with standard input.
 */
public class DisconfClient {
    private static FetcherMgr fetcher;

    public static void main(String[] keys) throws Exception {
        ConfigMgr.init();
        fetcher = FetcherFactory.getFetcherMgr();
        for (String key : keys) {
            if (key.startsWith("item/")) {
                item(key.substring(5));
            } else {
                file(key.substring(5));
            }
        }
        DisconfCoreMgr disconf = DisconfCoreFactory.getDisconfCoreMgr(new SimpleRegistry());
        disconf.process();
        disconf.inject2DisconfInstance();
        for (String key : keys) {
            inEffect(key);
        }
        System.out.println("ready");
        while (System.in.read() >= 0) {
            continue;
        }
        disconf.release();
        System.exit(0);
    }

    private static void item(String name) throws Exception {
        Value value = new Value();
        DisconfCenterItem item = new DisconfCenterItem();
        item.setKey(name);
        item.setField(Value.class.getField("text"));
        item.setObject(value);
        common(item, "item/" + name, DisConfigTypeEnum.ITEM);
        DisconfStoreProcessorFactory.getDisconfStoreItemProcessor().transformScanData(item);
    }

    private static void file(String name) {
        DisconfCenterFile file = new DisconfCenterFile();
        file.setFileName(name);
        file.setIsTaggedWithNonAnnotationFile(true);
        file.setSupportFileTypeEnum(SupportFileTypeEnum.getByFileName(name));
        common(file, "file/" + name, DisConfigTypeEnum.FILE);
        DisconfStoreProcessorFactory.getDisconfStoreFileProcessor().transformScanData(file);
    }

    private static void common(DisconfCenterBaseModel model, final String key, DisConfigTypeEnum type) {
        DisClientConfig config = DisClientConfig.getInstance();
        DisConfCommonModel common = new DisConfCommonModel();
        common.setApp(config.APP);
        common.setVersion(config.VERSION);
        common.setEnv(config.ENV);
        model.setDisConfCommonModel(common);
        model.setRemoteServerUrl(url(key.substring(5), type));
        model.getDisconfCommonCallbackModel().getDisconfConfUpdates().add(new IDisconfUpdate() {
            @Override
            public void reload() throws Exception {
                inEffect(key);
            }
        });
    }

    private static String url(String name, DisConfigTypeEnum type) {
        DisClientConfig config = DisClientConfig.getInstance();
        return DisconfWebPathMgr.getRemoteUrlParameter(
                DisClientSysConfig.getInstance().CONF_SERVER_STORE_ACTION, config.APP, config.VERSION, config.ENV, name, type);
    }

    private static void inEffect(String key) throws Exception {
        String name = key.substring(5);
        if (key.startsWith("file/")) {
            DisconfCenterFile file = (DisconfCenterFile) DisconfStoreProcessorFactory.getDisconfStoreFileProcessor().getConfData(name);
            System.out.println(key + "=" + new TreeMap<String, Object>(file.getKV()));
            return;
        }
        String value = String.valueOf(DisconfStoreProcessorFactory.getDisconfStoreItemProcessor().getConfig(null, name));
        String map = "";
        if (name.equals("abt2.online")) {
            map = " " + fetcher.getValueFromServer(url("abt2.environment." + value, DisConfigTypeEnum.ITEM));
        }
        System.out.println(key + "=" + value + map);
    }

    /** Where disconf puts an item's value. */
    public static class Value {
        public String text;
    }
}

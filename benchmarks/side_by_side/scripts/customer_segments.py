"""How many kinds of customers are there? Clusters without labels."""

from sklearn.cluster import DBSCAN, AgglomerativeClustering, KMeans
from sklearn.datasets import make_blobs
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score, silhouette_score
from sklearn.preprocessing import StandardScaler

X, truth = make_blobs(n_samples=450, centers=4, n_features=6, cluster_std=1.6, random_state=11)
scaler = StandardScaler()
X_scaled = scaler.fit_transform(X)

for k in (3, 4):
    kmeans = KMeans(n_clusters=k, n_init=4, random_state=0)
    kmeans.fit(X_scaled)
    labels = kmeans.predict(X_scaled)
    print(k, round(kmeans.inertia_, 3), round(silhouette_score(X_scaled, labels), 4))
print("against the truth", round(adjusted_rand_score(truth, labels), 4))

groups = AgglomerativeClustering(n_clusters=4).fit_predict(X_scaled)
print("agglomerative", round(silhouette_score(X_scaled, groups), 4))

density = DBSCAN(eps=0.9, min_samples=5).fit(X_scaled)
print("DBSCAN", len(set(density.labels_) - {-1}))

flat = PCA(n_components=2, random_state=0).fit_transform(X_scaled)
print("PCA", flat.shape)

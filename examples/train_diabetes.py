"""An elastic net on scikit-learn's diabetes data: an ordinary training script, and one line that records it.

python examples/train_diabetes.py 0.05 0.05      # alpha, l1_ratio
autotrack runs
"""

import sys

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes
from sklearn.linear_model import ElasticNet, enet_path
from sklearn.metrics import mean_absolute_error, mean_squared_error, r2_score
from sklearn.model_selection import train_test_split

import autotrack

autotrack.autolog()


def eval_metrics(actual, pred):
    """The script's own evaluation: root mean squared error, mean absolute error, R2."""
    rmse = np.sqrt(mean_squared_error(actual, pred))
    mae = mean_absolute_error(actual, pred)
    r2 = r2_score(actual, pred)
    return rmse, mae, r2


def plot_enet_path(x, y, l1_ratio):
    """Draw how the coefficients shrink as the penalty grows."""
    alphas, coefs, _ = enet_path(x, y, eps=5e-3, l1_ratio=l1_ratio)
    fig, ax = plt.subplots()
    for name, coef in zip(x.columns, coefs):
        ax.plot(-np.log10(alphas), coef, label=name)
    ax.set_xlabel("-log10(alpha)")
    ax.set_ylabel("coefficients")
    ax.set_title(f"Elastic-net path, l1_ratio = {l1_ratio:g}")
    ax.legend(fontsize="small")
    fig.savefig("ElasticNet-paths.png")
    plt.close(fig)


if __name__ == "__main__":
    alpha = float(sys.argv[1]) if len(sys.argv) > 1 else 0.05
    l1_ratio = float(sys.argv[2]) if len(sys.argv) > 2 else 0.05

    data = load_diabetes(as_frame=True).frame
    train, test = train_test_split(data, test_size=0.25, random_state=42)
    train_x, train_y = train.drop(columns="target"), train["target"]
    test_x, test_y = test.drop(columns="target"), test["target"]

    model = ElasticNet(alpha=alpha, l1_ratio=l1_ratio, random_state=42)
    model.fit(train_x, train_y)

    predictions = model.predict(test_x)
    rmse, mae, r2 = eval_metrics(test_y, predictions)

    print(f"ElasticNet (alpha={alpha:g}, l1_ratio={l1_ratio:g})")
    print(f"  RMSE: {rmse}")
    print(f"  MAE:  {mae}")
    print(f"  R2:   {r2}")

    plot_enet_path(train_x, train_y, l1_ratio)

# SPDX-License-Identifier: Apache-2.0
from setuptools import find_packages, setup

package_name = 'lwd_learner_bridge'

setup(
    name=package_name,
    version='0.1.0',
    packages=find_packages(exclude=['test']),
    data_files=[
        ('share/ament_index/resource_index/packages', ['resource/' + package_name]),
        ('share/' + package_name, ['package.xml']),
    ],
    install_requires=['setuptools'],
    zip_safe=True,
    maintainer='LWD maintainers',
    maintainer_email='maintainers@lwd-g1.org',
    description='Between robots and the learner: segments up, policies down.',
    license='Apache-2.0',
    extras_require={'test': ['pytest']},
    entry_points={'console_scripts': [
        'coordinator = lwd_learner_bridge.coordinator_node:main',
        'learner = lwd_learner_bridge.learner_node:main',
        'uploader = lwd_learner_bridge.uploader_node:main',
        'publisher = lwd_learner_bridge.publisher_node:main',
    ]},
)
